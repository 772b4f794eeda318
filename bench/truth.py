"""Truth: what the kernel has of one state folder's instances, asked of the kernel alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from oslet.model.instance import Instance
from oslet.run import records, wire
from oslet.run.net import links, nft
from oslet.run.net.netlink import NETFILTER, ROUTE, Netlink
from oslet.run.records import Record

CGROUPS = Path("/sys/fs/cgroup")
STAYS = {"supervisor.json", "supervisor.log", "keeper.lock", "events.jsonl", "events.jsonl.1", "network.log"}
"""What stays in a state folder without instances, beside empty folders."""


class Kept(NamedTuple):
    """An instance, and what must be true of it: how it may have ended, or that it lives."""

    instance: Instance
    lives: bool
    codes: tuple[int, ...] = ()
    restarts: bool = False
    port: int = 0


class Truth:
    """What was there before; what was ever seen of the folder's own. ``odd`` is a memory limit that only these have."""

    def __init__(self, state: Path, odd: int) -> None:
        self._state = state
        self._odd = odd
        self._ids: set[str] = set()
        self._processes: set[tuple[int, int]] = set()
        self._links, self._tables, self._ports = _links(), _tables(), set(listening())
        self._groups = set(self._cgroups())

    def differs(self, waiting: wire.Waiting, known: Sequence[Record]) -> str:
        """How processes and cgroups differ from what is said to run or wait; empty if they don't."""
        keeper = _parent(waiting.pid)
        if keeper is None:
            return "the supervisor is gone"
        living = {record.pid: record for record in known if records.alive(record)}
        self._ids |= {record.slot for record in known} | {path.name for path in (self._state / "instances").glob("*")}
        self._remember((keeper, waiting.pid, *living))
        slots = 0
        for pid in records.children(keeper):
            began = records.began(pid)
            if pid == waiting.pid or pid in living or began is None:
                continue
            self._processes.add((pid, began))
            slots += _name(pid) == "oslet-slot"
            if _name(pid) not in ("oslet-slot", "slirp4netns") and not _is_python(pid):
                return f"a process {pid} ({_name(pid)}) of nobody"
        wanted = sum(waiting.slots.values())
        if slots != wanted:
            return f"{slots} slots wait, {wanted} are said to"
        groups = {path.name for path in self._cgroups() if path not in self._groups}
        if extra := groups - {record.slot for record in living.values()} - self._waiting(waiting):
            about = [f"{name} ({self._about(name)})" for name in extra]
            return f"cgroups of nothing: {', '.join(about)}; {wanted} slots wait"
        return ""

    def _about(self, name: str) -> str:
        folder, group = self._state / "instances" / name, CGROUPS / "memory/oslet" / name
        with suppress(OSError):
            pids = (group / "cgroup.procs").read_text().split()
            of = [path.parent.name for path in folder.parent.glob("*/record.json") if name in path.read_text()]
            states = [(_parent(int(pid)), records.began(int(pid))) for pid in pids]
            return (
                f"processes {pids} {states}, folder {folder.exists()}, {[*map(_name, map(int, pids))]}, in records {of}"
            )
        return "gone"

    def _waiting(self, waiting: wire.Waiting) -> set[str]:
        """The slots' ids: folders without a record."""
        folders = (self._state / "instances").glob("*") if any(waiting.slots.values()) else ()
        return {path.name for path in folders if records.read(path) is None}

    def _remember(self, pids: Sequence[int]) -> None:
        for pid in pids:
            if (began := records.began(pid)) is not None:
                self._processes.add((pid, began))

    def _cgroups(self) -> Iterator[Path]:
        for path in (CGROUPS / "memory/oslet").glob("*"):
            with suppress(OSError, ValueError):
                if int((path / "memory.limit_in_bytes").read_text()) == self._odd:
                    yield path

    def left(self) -> list[str]:
        """What is there that wasn't before."""
        found = [f"process {pid} ({_name(pid)})" for pid, began in self._processes if records.began(pid) == began]
        found += [f"process {pid}: {words}" for pid, words in _of(str(self._state))]
        found += [f"mount in {where}: {line}" for where, line in self._mounts()]
        found += [f"cgroup {path}" for path in self._cgroups() if path not in self._groups]
        found += [f"port {port}" for port in set(listening()) - self._ports]
        found += [f"link {name}" for name in _links() - self._links]
        found += [f"table {name}" for name in _tables() - self._tables]
        for path in self._state.rglob("*"):
            empty = path.is_dir() and (path.parent == self._state or ".cache" in path.parts)
            if not (empty or path.name in STAYS or ".cache" in path.parts):
                found.append(f"file {path.relative_to(self._state)}")
        return found

    def _mounts(self) -> Iterator[tuple[str, str]]:
        seen = set()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                namespace = os.readlink(process / "ns/mnt")
                if namespace in seen:
                    continue
                seen.add(namespace)
                for line in (process / "mountinfo").read_text().splitlines():
                    if str(self._state) in line or any(id_ in line for id_ in self._ids):
                        yield process.name, line


def listening() -> set[int]:
    """Ports of this machine that TCP listens on."""
    found = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A":
                    found.add(int(words[1].rpartition(":")[2], 16))
    return found


def _links() -> set[str]:
    netlink = Netlink(ROUTE)
    try:
        return {link.name for link in links.links(netlink)}
    finally:
        netlink.close()


def _tables() -> set[str]:
    netlink = Netlink(NETFILTER)
    try:
        return {base.table for base in nft.bases(netlink)}
    except OSError:
        return set()
    finally:
        netlink.close()


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    except OSError:
        return None


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _is_python(pid: int) -> bool:
    """Whether it is one of ours: what carries the network is a process of Python's, or was about to be one."""
    return _name(pid).startswith(("python", "oslet"))


def _of(state: str) -> Iterator[tuple[int, str]]:
    """Processes that name the state folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            if state in words and int(process.name) != os.getpid():
                yield int(process.name), words[:200]
