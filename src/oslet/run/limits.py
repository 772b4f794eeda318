"""Limits: what an instance may use, through whichever cgroups the machine lets this user have."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from oslet.errors import RunError

CGROUPS = Path("/sys/fs/cgroup")
_PERIOD = 100_000
"""Microseconds over which a share of processors is counted, the kernel's own default."""
_GONE = 2.0
"""Seconds that a killed process may take to leave its cgroup."""


class Limits(Struct, frozen=True):
    """What one instance may use; None is no limit of its own.

    ``memory`` is in bytes, ``cpus`` in processors (0.5 is half of one), ``pids`` counts processes and threads.
    ``scratch`` bounds, in bytes, what the instance may write outside its volumes: that lives in memory.
    """

    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None
    scratch: int = 1 << 30

    @property
    def counted(self) -> tuple[str, ...]:
        """The cgroup controllers that the limits need."""
        wanted = {"memory": self.memory, "cpu": self.cpus, "pids": self.pids}
        return tuple(name for name, value in wanted.items() if value is not None)


class Setting(NamedTuple):
    """One cgroup file and what to write there."""

    file: str
    value: str


def settings(limits: Limits, controller: str, version: int) -> tuple[Setting, ...]:
    """What to write for one controller. cgroup-v1/ and cgroup-v2.rst of the kernel's documentation."""
    if controller == "memory" and limits.memory is not None:
        return (Setting("memory.limit_in_bytes" if version == 1 else "memory.max", str(limits.memory)),)
    if controller == "pids" and limits.pids is not None:
        return (Setting("pids.max", str(limits.pids)),)
    if controller == "cpu" and limits.cpus is not None:
        quota = max(1000, round(limits.cpus * _PERIOD))
        if version == 1:
            return Setting("cpu.cfs_period_us", str(_PERIOD)), Setting("cpu.cfs_quota_us", str(quota))
        return (Setting("cpu.max", f"{quota} {_PERIOD}"),)
    return ()


def make(limits: Limits, name: str, *, root: Path = CGROUPS) -> tuple[Path, ...]:
    """The cgroups, made and set, that hold an instance to ``limits``: none when it has none.

    RunError when this machine's cgroups can't be had by this user: a limit is never silently left out.
    """
    made: list[Path] = []
    try:
        for controller in limits.counted:
            version, parent = _parent(controller, root)
            group = parent / name
            if group not in made:
                group.mkdir(parents=True, exist_ok=True)
                made.append(group)
            for setting in settings(limits, controller, version):
                (group / setting.file).write_text(setting.value)
    except OSError as error:
        remove(tuple(made))
        raise _refused(limits, str(error.strerror or error), str(error.filename or "")) from None
    return tuple(made)


def enter(groups: tuple[Path, ...], pids: tuple[int, ...]) -> None:
    """Move processes into their cgroups; what they start later is born there."""
    try:
        for group in groups:
            for pid in pids:
                (group / "cgroup.procs").write_text(str(pid))
    except OSError as error:
        remove(groups)
        raise RunError(
            f"a process can't be moved into its cgroup: {error.strerror}",
            where=str(error.filename or ""),
            hint="start from a session that systemd delegates cgroups to: systemd-run --user --scope -p Delegate=yes …",
        ) from None


def remove(groups: tuple[Path, ...]) -> None:
    """Remove cgroups that no process is in; one that still has some is left for the next removal."""
    for group in groups:
        for level in (group, group.parent):
            if level == group or level.name == "oslet":
                with suppress(OSError):
                    level.rmdir()


def named(name: str, *, root: Path = CGROUPS) -> tuple[Path, ...]:
    """The cgroups that ``make`` made under ``name``, by whichever process."""
    if (root / "cgroup.controllers").exists():
        parents = _candidates(root)
    else:
        parents = [*root.glob("*/oslet")]
    return tuple(parent / name for parent in parents if (parent / name).is_dir())


def clear(groups: tuple[Path, ...]) -> None:
    """Kill what is in cgroups, and remove them; a process takes a moment to go."""
    deadline = time.monotonic() + _GONE
    for group in groups:
        while group.is_dir() and time.monotonic() < deadline:
            remove((group,))
            for pid in _lines(group / "cgroup.procs"):
                with suppress(OSError):
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.001)


def usage(groups: tuple[Path, ...]) -> dict[str, int]:
    """What the cgroups have counted: ``memory`` in bytes, ``pids``; what isn't counted is left out."""
    files = {"memory": ("memory.usage_in_bytes", "memory.current"), "pids": ("pids.current",)}
    counted: dict[str, int] = {}
    for group in groups:
        for word, names in files.items():
            for name in names:
                try:
                    counted[word] = int((group / name).read_text())
                except (OSError, ValueError):
                    continue
    return counted


def most(groups: tuple[Path, ...]) -> int | None:
    """The memory that the cgroups bound, in bytes; None where none does."""
    for group in groups:
        for name in ("memory.limit_in_bytes", "memory.max"):
            try:
                return int((group / name).read_text())
            except (OSError, ValueError):
                continue
    return None


def _parent(controller: str, root: Path) -> tuple[int, Path]:
    """Which version's hierarchy has ``controller``, and the group there that ours go into."""
    if (root / "cgroup.controllers").exists():
        return 2, _delegated(controller, root)
    if (root / controller / "cgroup.procs").exists():
        return 1, root / controller / "oslet"
    raise FileNotFoundError(2, f"there is no {controller} controller", str(root))


def _delegated(controller: str, root: Path) -> Path:
    """A cgroup v2 with ``controller`` on for its children, that this user may write to."""
    candidates = _candidates(root)
    reason = OSError(13, "systemd delegates no cgroup to you", str(candidates[-1]))
    for group in candidates:
        try:
            group.mkdir(exist_ok=True)
            for level in (group.parent, group):
                if controller not in (level / "cgroup.subtree_control").read_text().split():
                    (level / "cgroup.subtree_control").write_text(f"+{controller}")
            return group
        except OSError as error:
            reason = OSError(error.errno, error.strerror, str(error.filename))
    raise reason


def _candidates(root: Path) -> list[Path]:
    """Where in a cgroup v2 this user's may stand."""
    uid = os.geteuid()
    own = next((line[3:] for line in _lines(Path("/proc/self/cgroup")) if line.startswith("0::")), "/").strip("/")
    service = f"user.slice/user-{uid}.slice/user@{uid}.service"
    return [root / "oslet"] if uid == 0 else [root / service / "oslet", root / own]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _refused(limits: Limits, why: str, where: str) -> RunError:
    words = " and ".join(limits.counted)
    if os.geteuid() == 0:
        hint = "leave the limit out, or give this machine the cgroup controllers it lacks"
    else:
        hint = "leave the limit out, start as root, or have systemd delegate cgroups to you (cgroup v2, Delegate=yes)"
    return RunError(f"the {words} limit can't be kept on this machine: {why}", where=where, hint=hint)
