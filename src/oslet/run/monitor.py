"""The monitor: one small shell a build step, in namespaces of its own, that makes it, waits for it, and takes it along.

The user's Python process is never forked (23 ms at 500 MB, anchors/instances.md §2): all is ``posix_spawn``.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from oslet.errors import RunError
from oslet.run import ids, records
from oslet.run.config import PLACE
from oslet.run.tools import program

_PATIENCE = 30.0
"""Seconds a step of the monitor may take: each is a mount or two."""


class Stdio(NamedTuple):
    """The instance's descriptors 0, 1 and 2; a path is opened: ``/dev/null`` to read, others to append to."""

    stdin: int | Path = 0
    stdout: int | Path = 1
    stderr: int | Path = 2


class Monitor(NamedTuple):
    """A monitor that is being made: its pid, and the two pipes it is spoken with."""

    pid: int
    hears: int
    says: int
    folder: Path

    @property
    def place(self) -> Path:
        """Where its mount namespace has the instance's file system, seen from here."""
        return Path(f"/proc/{self.pid}/root{PLACE}")


def arguments(
    root: Path,
    runtime: Path,
    state: Path,
    folder: Path,
    *,
    scratch: int,
    mapping: ids.Mapping,
    changes: Path | None = None,
) -> list[str]:
    """The positional arguments of ``enter.sh``. ``scratch`` is in bytes; ``changes``, where the upper layer is to
    outlive the monitor, is a folder with ``upper`` and ``work`` in it, since an overlay wants both on one mount."""
    program("mount")
    if not runtime.name.startswith("crun"):
        # runc 1.1 wants to make cgroups of each version 1 controller, also as root of a namespace that sees none.
        raise RunError(f"{runtime} can't make instances here", hint="install crun, or leave it to oslet to get its own")
    layers = f"{PLACE}/changes" if changes else PLACE
    overlay = f"lowerdir=.,upperdir={layers}/upper,workdir={layers}/work"
    return [
        str(root),
        str(runtime),
        str(state / "runtime"),
        folder.name,
        str(folder),
        f"mode=0711,size={max(scratch, 1 << 20)}",
        # A user namespace may not write the trusted attributes by which an overlay marks what it hides: overlayfs.rst.
        f"userxattr,{overlay}" if mapping.rootless else overlay,
        str(changes or ""),
    ]


def spawn(
    folder: Path,
    given: Sequence[str],
    *,
    stdio: Stdio,
    rootless: bool,
) -> Monitor:
    """Start a monitor; it waits for ``proceed``."""
    kinds = ["-m", "-p", *(["-U"] if rootless else [])]
    script = str(Path(__file__).with_name("enter.sh"))
    unshare, shell = program("unshare"), program("sh")
    hears, their_says = os.pipe()
    their_hears, says = os.pipe()
    copies = {3: above(their_says), 4: above(their_hears)}
    try:
        pid = os.posix_spawn(
            unshare,
            [
                "unshare", *kinds, "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
                shell, script, *given,
            ],
            {**os.environ, "LC_ALL": "C"},
            file_actions=[*stream_actions(stdio), *((os.POSIX_SPAWN_DUP2, fd, n) for n, fd in copies.items())],
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT],
            setsigmask=[],
        )  # fmt: skip
    except OSError as error:
        os.close(hears)
        os.close(says)
        raise RunError(f"the monitor can't be started: {error.strerror}", where=unshare) from None
    finally:
        for fd in (*copies.values(), their_says, their_hears):
            os.close(fd)
    _started.add(pid)
    return Monitor(pid, hears, says, folder)


def stream_actions(stdio: Stdio) -> list[tuple[int, ...] | tuple[int, int, str, int, int]]:
    """What ``posix_spawn`` is to do so that a child has these as 0, 1 and 2."""
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
    for number, stream in enumerate(stdio):
        if isinstance(stream, Path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND if number else os.O_RDONLY
            actions.append((os.POSIX_SPAWN_OPEN, number, str(stream), flags, 0o600))
        elif stream != number:
            actions.append((os.POSIX_SPAWN_DUP2, stream, number))
    return actions


def above(fd: int, least: int = 64) -> int:
    """A copy of a descriptor out of the way of those a child is to have; it is not inherited itself."""
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, least)


def hear(monitor: Monitor) -> None:
    """Wait until the monitor wants something done. RunError with what it met if it ended instead."""
    if readable(monitor.hears, _PATIENCE) and os.read(monitor.hears, 2):
        return
    raise failure(monitor)


def proceed(monitor: Monitor) -> None:
    try:
        os.write(monitor.says, b"go\n")
    except BrokenPipeError:
        raise failure(monitor) from None


def failure(monitor: Monitor) -> RunError:
    """Why there is no instance: what mount, the runtime or unshare said."""
    kill(monitor.pid)
    for lines in (complaints(monitor.folder / records.RUNTIME_LOG), _lines(monitor.folder / "made")):
        if lines:
            return RunError(f"the instance can't be made: {lines[-1]}", where="; ".join(lines[:-1][-3:]))
    return RunError(
        "the instance can't be made: this machine refuses a new namespace",
        hint="user namespaces must be allowed: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
        "kernel.apparmor_restrict_unprivileged_userns",
    )


def complaints(log: Path) -> list[str]:
    """What the runtime said in its log. Only whole lines of its own: crun 1.8.1 now and then lets a terminal's output
    slip in when the application ends at once."""
    said = []
    for line in _lines(log, 4000):
        with suppress(ValueError, TypeError, KeyError):
            said.append(str(json.loads(line)["msg"])[:300])
    return said


def _lines(path: Path, longest: int = 300) -> list[str]:
    try:
        return [line[:longest] for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return []


def close(monitor: Monitor) -> None:
    os.close(monitor.hears)
    os.close(monitor.says)


def map_ids(pid: int, mapping: ids.Mapping) -> None:
    """Give the user namespace of ``pid`` its ids: itself where one is all, by ``newuidmap(1)`` for a range."""
    if not mapping.rootless:
        return
    if len(mapping.outer_uids) == 1:
        # A group map may be written without privilege once setgroups is denied: user_namespaces(7).
        _write(pid, "setgroups", "deny")
        _write(pid, "uid_map", _text(mapping.outer_uids))
        _write(pid, "gid_map", _text(mapping.outer_gids))
        return
    running = []
    for name, extents in (("newuidmap", mapping.outer_uids), ("newgidmap", mapping.outer_gids)):
        numbers = _text(extents).split()
        running.append((name, os.posix_spawn(program(name), [name, str(pid), *numbers], os.environ)))
    for name, child in running:
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            kill(pid)
            raise RunError(f"{name} refuses your subordinate ids", where=f"/etc/sub{name[3:6]}")


def _write(pid: int, name: str, text: str) -> None:
    try:
        Path(f"/proc/{pid}/{name}").write_text(text)
    except OSError as error:
        raise RunError(f"ids can't be mapped: {error.strerror}", where=f"/proc/…/{name}") from None


def _text(extents: tuple[ids.Extent, ...]) -> str:
    return "\n".join(f"{e.inside} {e.outside} {e.length}" for e in extents)


def kill(pid: int) -> None:
    """End a monitor and so everything in its pid namespace, and wait for it where it is our child."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    if pid in _started:
        _started.discard(pid)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


_started: set[int] = set()
"""Children of this process, to be reaped when they end: a long-lived caller starts many."""


def adopt(pid: int) -> None:
    _started.add(pid)


def readable(descriptor: int, timeout: float | None) -> bool:
    """Wait until a descriptor can be read, or a pidfd's process has ended. Not ``select``, which knows only 1024."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if timeout is None else max(0, timeout * 1000)))


def finished(monitor: Monitor, timeout: float | None) -> bool:
    """Wait for a monitor of this process to end; whether it has. ``timeout`` in seconds."""
    try:
        watched = os.pidfd_open(monitor.pid)
    except ProcessLookupError:
        return True
    try:
        return readable(watched, timeout)
    finally:
        os.close(watched)


def reap() -> None:
    for pid in tuple(_started):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if ended:
            _started.discard(pid)
