"""Records: one folder an instance, and what can be said of it now.

A folder is the whole truth of an instance that isn't in the kernel: ``record.json``, its logs, its exit code. Whether
it lives is asked of the kernel each time, by pid *and* start time, so that no crash can make a record lie.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from oslet.codec import canonical, decode
from oslet.errors import IntegrityError, RunError
from oslet.model.instance import Instance
from oslet.model.oslet import Health
from oslet.model.stack import Membership
from oslet.run.net.plug import Plug

_ID = re.compile(r"[0-9a-f]{12}")
HEALTH = "health"
"""Says whether an instance that declares its health is well, once that is known."""
_ID = re.compile("[0-9a-f]{12}")
RECORD, EXIT, STDOUT, STDERR, RUNTIME_LOG = "record.json", "exit", "stdout.log", "stderr.log", "runtime.log"


class Published(Struct, frozen=True):
    """One container port and where on this machine it answers; ``proto`` is tcp or udp."""

    container: int
    host: int
    address: str
    proto: str = "tcp"


class Record(Struct, frozen=True):
    """What was started, and by which process. ``pid_began`` is in kernel ticks since boot, ``boot`` that boot's id.

    ``slot`` is its sandbox's id, another one after each restart; ``token`` is the request that it came of, ``again``
    the one by which it is to begin again whatever its policy says. ``arguments`` are all but the secrets.
    """

    id: str
    name: str
    image: str
    image_name: str
    created: float
    boot: str
    pid: int
    pid_began: int
    slot: str
    uid: int
    gid: int
    env: tuple[tuple[str, str], ...]
    workdir: str
    capabilities: tuple[str, ...]
    stop_signal: str
    ports: tuple[int, ...]
    published: tuple[Published, ...]
    network: str
    cgroups: tuple[str, ...]
    health: Health | None = None
    remove: bool = False
    restart: Literal["no", "on-failure", "always"] = "no"
    restarts: int = 0
    restarting: bool = False
    allow: tuple[str, ...] | None = None
    token: str = ""
    again: str = ""
    arguments: dict[str, Any] = {}
    attached: bool = False
    volumes: tuple[str, ...] = ()
    """The folders of this machine that it may write to."""
    watcher: int = 0
    watcher_began: int = 0
    """The process that records what a watched instance uses; 0 where there is none."""
    plug: Plug | None = None
    """Its place at the switch; None where it has no network or the machine's."""
    vmm: str = ""
    """What it runs in as a microVM; empty for a container."""
    membership: Membership | None = None
    """Which member of which stack it is, if it is of one."""


def folders(state: Path) -> Path:
    return state / "instances"


def blank(folder: Path) -> int:
    """The record of a fresh folder, open to be written once; until then a reader finds none."""
    return os.open(folder / RECORD, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def write(folder: Path, record: Record) -> None:
    """Atomic: a reader sees the old record or the new one."""
    fresh = folder / f"{RECORD}.new"
    fresh.write_bytes(canonical(record))
    fresh.replace(folder / RECORD)


def read(folder: Path) -> Record | None:
    """The record in a folder; None where a start hasn't come so far, or never will."""
    try:
        return decode((folder / RECORD).read_bytes(), Record, where=str(folder / RECORD))
    except (OSError, IntegrityError):
        return None


@cache
def boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def began(pid: int, *, ended: bool = False) -> int | None:
    """When a process started, in ticks since boot; None if it's gone or, unless ``ended`` ones count, a zombie.
    ``proc_pid_stat(5)``."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" and not ended else int(fields[19])


def alive(record: Record) -> bool:
    return record.boot == boot() and began(record.pid) == record.pid_began


def there(record: Record) -> bool:
    """Whether it lives, or has ended but for its exit code being written down."""
    return record.boot == boot() and began(record.pid, ended=True) == record.pid_began


def children(pid: int) -> tuple[int, ...]:
    """The child processes of ``pid``; by a look at all processes where the kernel keeps no list of them."""
    try:
        return tuple(int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    except OSError:
        return tuple(p for p, parent in _parents().items() if parent == pid)


def descendants(pid: int) -> tuple[int, ...]:
    found: list[int] = []
    left = [pid]
    while left:
        for child in children(left.pop()):
            found.append(child)
            left.append(child)
    return tuple(found)


def _parents() -> dict[int, int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]
                )
            except (OSError, IndexError, ValueError):
                continue
    return parents


def observe(folder: Path, record: Record) -> Instance:
    """What a record and the kernel say together, now."""
    code, ended = _ending(folder)
    running = code is None and (record.restarting or there(record))
    if running:
        return replace(begun(record), health=_health(folder) if record.health else "")
    if code is None:
        code, ended = _ending(folder)  # written meanwhile; else nobody was left to write it
        code = 137 if code is None else code
    return replace(begun(record), state="exited", pid=0, exit_code=code, ended=ended)


def _health(folder: Path) -> str:
    try:
        return (folder / HEALTH).read_text()
    except OSError:
        return "starting"


def begun(record: Record) -> Instance:
    """An instance that runs, or soon does again."""
    return Instance(
        id=record.id,
        name=record.name,
        image=record.image,
        image_name=record.image_name,
        state="restarting" if record.restarting else "running",
        ports=tuple(p.host for p in record.published),
        created=record.created,
        pid=record.pid,
        restarts=record.restarts,
        group=record.membership.group if record.membership else "",
        vmm=record.vmm,
    )


def _ending(folder: Path) -> tuple[int | None, float | None]:
    try:
        with (folder / EXIT).open() as file:
            return int(file.read()), os.fstat(file.fileno()).st_mtime
    except (OSError, ValueError):
        return None, None


def end(folder: Path, code: int) -> None:
    """Write the exit code; atomic."""
    fresh = folder / f"{EXIT}.new"
    fresh.write_text(str(code))
    fresh.replace(folder / EXIT)


def instances(state: Path) -> tuple[Instance, ...]:
    """Every instance there is a folder of, oldest first, each as it is now."""
    return tuple(observe(folder, record) for folder, record in records(state))


def records(state: Path) -> tuple[tuple[Path, Record], ...]:
    try:
        entries = sorted(folders(state).iterdir())
    except OSError:
        return ()
    found = [(folder, record) for folder in entries if (record := read(folder))]
    return tuple(sorted(found, key=lambda pair: pair[1].created))


def record(state: Path, id: str) -> Record:  # noqa: A002
    """The record of an instance by its whole id. RunError if it is gone."""
    if found := read(folders(state) / id):
        return found
    raise RunError(f"there is no instance {id!r} any more", hint="oslet ps lists what runs")


class Member(Struct, frozen=True):
    """An instance on a network."""

    name: str
    id: str
    address: str


class Network(Struct, frozen=True):
    name: str
    instances: tuple[Member, ...]


def networks(state: Path) -> tuple[Network, ...]:
    """Each network that an instance is on now, by name."""
    found: dict[str, list[Member]] = {}
    for _, record in records(state):
        if record.plug and alive(record):
            found.setdefault(record.network, []).append(Member(record.name, record.id, record.plug.address))
    return tuple(Network(name, tuple(members)) for name, members in sorted(found.items()))


def find(state: Path, ref: str) -> tuple[Path, Record]:
    """The instance that ``ref`` means: its id, its name (the latest of it), or a prefix of one id only. RunError
    otherwise."""
    if _ID.fullmatch(ref) and (record := read(folders(state) / ref)):
        return folders(state) / ref, record  # without a look at a thousand others
    known = records(state)
    exact = [pair for pair in known if ref in (pair[1].name, pair[1].id)]
    matching = exact[-1:] or [pair for pair in known if ref and pair[1].id.startswith(ref)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise RunError(f"{ref!r} is the beginning of {len(matching)} instances' ids", hint="write more of it")
    near = _nearest(ref, [pair[1].name for pair in known])
    raise RunError(f"there is no instance {ref!r}", hint=near or "oslet ps lists what runs")


def _nearest(name: str, names: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, names, 1)
    return f"did you mean {close[0]!r}?" if close else ""
