"""Within: what an instance's kernel says of its processes, memory and network, by proc(5). An image has no ``ps``.

A container's kernel is this machine's, so it is read here; a guest has one of its own, of which an agent reads files.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from oslet.errors import RunError
from oslet.run import limits, living, records
from oslet.run.records import Record

MOST = 4096
"""Processes of one instance that are told of."""
_LONGEST = 1 << 20
_SHOWN = 4096
"""Bytes of a command line that are shown."""


class Process(Struct, frozen=True):
    """One process, by its number in the instance; ``parent`` is 0 for the first. ``state`` is the letter of
    proc_pid_stat(5), ``memory`` are resident bytes, ``cpu`` seconds, and ``threads`` counts."""

    pid: int
    parent: int
    name: str
    command: tuple[str, ...]
    state: str
    threads: int
    memory: int
    cpu: float


class Memory(Struct, frozen=True):
    """Bytes: what the instance may have, uses, and may have yet."""

    total: int
    used: int
    free: int


class Interface(Struct, frozen=True):
    """One of its network's ends, and what went through it: bytes and packets."""

    name: str
    received: int
    sent: int
    packets_received: int
    packets_sent: int
    errors: int


class System(Struct, frozen=True):
    """Which kernel runs it, its host's name, and how many seconds it has run."""

    name: str
    version: str
    hostname: str
    uptime: float


class Within(Protocol):
    """The way to an instance's proc(5). ``read`` gives a file of it, those of a process by a number of ``pids``, which
    maps it to the number that the process has inside. OSError for what isn't there any more."""

    def pids(self) -> dict[int, int]: ...

    def read(self, path: str) -> bytes: ...

    def memory(self) -> Memory: ...

    def uptime(self) -> float: ...


class Container:
    """A container's processes are processes of this machine, too."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def pids(self) -> dict[int, int]:
        first = self._record.pid
        found = {}
        for pid in (first, *records.descendants(first))[:MOST]:
            try:
                found[pid] = _inside(Path(f"/proc/{pid}/status").read_bytes())
            except (OSError, ValueError):
                continue
        return found

    def read(self, path: str) -> bytes:
        if path.startswith("net/"):
            path = f"{self._record.pid}/{path}"
        with Path("/proc", path).open("rb") as file:
            return file.read(_LONGEST)

    def memory(self) -> Memory:
        whole = _meminfo(self.read("meminfo"))
        used = living.used(self._record).memory
        most = limits.most(tuple(Path(group) for group in self._record.cgroups))
        total = min(most or whole.total, whole.total)
        return Memory(total, used, max(0, min(total - used, whole.free)))

    def uptime(self) -> float:
        return living.used(self._record).uptime


class Guest:
    """A guest's agent reads its files, one after the other, of a folder the names, with a newline behind each. OSError
    for what isn't there. To ask it takes longer than to be told, so it is asked for many at once."""

    def __init__(self, read: Callable[..., bytes]) -> None:
        self._read = read
        self._stats: dict[int, bytes] = {}

    def pids(self) -> dict[int, int]:
        """The application is 1 to itself and to us; neither init nor the kernel's threads are in its namespace."""
        names = self._read("/proc").decode("ascii", "replace").split()
        numbers = sorted(int(name) for name in names if name.isascii() and name.isdecimal())[:MOST]
        self._stats = self._all(numbers)
        return {pid: pid for pid in self._stats}

    def _all(self, numbers: list[int]) -> dict[int, bytes]:
        """Each one's ``stat``, which is a line; by halves, where one has ended since its name was read."""
        if not numbers:
            return {}
        try:
            lines = self._read(*(f"/proc/{pid}/stat" for pid in numbers)).splitlines()
            if len(lines) == len(numbers):
                return dict(zip(numbers, lines))
        except OSError:
            pass
        half = len(numbers) // 2
        return {**self._all(numbers[:half]), **self._all(numbers[half:])} if half else {}

    def read(self, path: str) -> bytes:
        pid, _, file = path.partition("/")
        if file == "stat" and pid.isdecimal() and (known := self._stats.get(int(pid))):
            return known
        if pid == "net":  # the agent has no "self" in the application's /proc
            path = f"1/{path}"
        return self._read(f"/proc/{path}")[:_LONGEST]

    def memory(self) -> Memory:
        return _meminfo(self.read("meminfo"))

    def uptime(self) -> float:
        return float(self.read("uptime").split()[0])


def within(state: Path, record: Record) -> Within:
    """The way to what runs. RunError if it doesn't."""
    if not records.alive(record):
        raise RunError(f"{record.name} doesn't run")
    return _guest(state, record) if record.vmm else Container(record)


def _guest(state: Path, record: Record) -> Guest:
    from oslet.run.transfer import read

    def through(*paths: str) -> bytes:
        try:
            return read(state, record.id, *paths)
        except RunError as error:
            raise OSError(errno.ENOENT, error.what, paths[0]) from None

    return Guest(through)


def processes(way: Within) -> tuple[Process, ...]:
    """All of them, the first one first; one that ends meanwhile is left out."""
    pids = way.pids()
    found = []
    for pid in pids:
        try:
            found.append(_process(way, pid, pids))
        except (OSError, ValueError, IndexError):
            continue
    return tuple(sorted(found, key=lambda process: process.pid))


def _process(way: Within, pid: int, pids: dict[int, int]) -> Process:
    name, fields = _fields(way.read(f"{pid}/stat"))
    words = way.read(f"{pid}/cmdline")[:_SHOWN].decode("utf-8", "replace")
    ticks = os.sysconf("SC_CLK_TCK")
    return Process(
        pid=pids[pid],
        parent=pids.get(int(fields[1]), 0),
        name=name,
        command=tuple(words.rstrip("\0").split("\0")) if words else (),
        state=fields[0],
        threads=int(fields[17]),
        memory=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        cpu=(int(fields[11]) + int(fields[12])) / ticks,
    )


def _fields(stat: bytes) -> tuple[str, list[str]]:
    """A process's name, which may hold anything, and what follows it: proc_pid_stat(5), from the third field on."""
    head, _, rest = stat.decode("utf-8", "replace").rpartition(")")
    return head.partition("(")[2], rest.split()


def _inside(status: bytes) -> int:
    """The number that a process has in the innermost of its pid namespaces: proc_pid_status(5)."""
    for line in status.splitlines():
        if line.startswith(b"NSpid:"):
            return int(line.split()[-1])
    raise ValueError("no NSpid")


def _meminfo(text: bytes) -> Memory:
    """proc_meminfo(5), of which each line is a word and kibibytes."""
    known = {}
    for line in text.splitlines():
        word, _, rest = line.partition(b":")
        if (value := rest.split()[:1]) and value[0].isdigit():
            known[word] = int(value[0]) * 1024
    total = known.get(b"MemTotal", 0)
    free = known.get(b"MemAvailable", known.get(b"MemFree", 0))
    return Memory(total, max(0, total - free), free)


def interfaces(way: Within) -> tuple[Interface, ...]:
    """Its network's ends, by proc_pid_net(5)'s ``dev``: eight figures of what came, eight of what went."""
    found = []
    for line in way.read("net/dev").decode("utf-8", "replace").splitlines()[2:]:
        name, colon, rest = line.partition(":")
        figures = [int(word) for word in rest.split() if word.isdecimal()]
        if colon and len(figures) == 16:
            errors = figures[2] + figures[10]
            found.append(Interface(name.strip(), figures[0], figures[8], figures[1], figures[9], errors))
    return tuple(found)


def system(way: Within, hostname: str) -> System:
    version = way.read("sys/kernel/osrelease").decode("utf-8", "replace").strip()
    return System("Linux", version, hostname, round(way.uptime(), 2))
