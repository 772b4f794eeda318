"""Living: what can be done with an instance that was started."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from msgspec import Struct

from oslet.errors import RunError
from oslet.model.instance import Instance
from oslet.run import limits, monitor, records
from oslet.run.records import Record

GRACE = 10.0
"""Seconds between the stop signal and SIGKILL. An application is pid 1 of its instance, and pid 1 ignores signals it
has no handler for (pid_namespaces(7)), so that the second often comes."""

_TAKEN_DOWN = 5.0
"""Seconds that the kernel may take to end a namespace's processes after its first."""

_MAKING = 30.0

_BLOCK = 1 << 16


class Stats(Struct, frozen=True):
    """What an instance uses now: bytes of memory it shares with nobody or its part of what it shares, seconds of
    processor time since it started, processes, seconds it has run; and its limits' own count where it has them."""

    memory: int
    cpu: float
    processes: int
    uptime: float
    counted: dict[str, int]


class Line(NamedTuple):
    """A line an instance wrote, with its end, and where."""

    stream: Literal["stdout", "stderr"]
    text: bytes


def inspect(state: Path, ref: str) -> Instance:
    folder, record = records.find(state, ref)
    return records.observe(folder, record)


def wait(state: Path, ref: str, timeout: float | None = None) -> int:
    """The exit code, once the instance has ended. RunError if it hasn't after ``timeout`` seconds."""
    folder, record = _made(state, ref)
    if not ended(record, timeout):
        raise RunError(f"{record.name} still runs after {timeout:g} s")
    code = records.observe(folder, record).exit_code
    if record.remove:
        records.discard(state, folder, record)
    return 137 if code is None else code


def _made(state: Path, ref: str) -> tuple[Path, Record]:
    """An instance that is no longer being made. RunError if that takes long."""
    deadline = time.monotonic() + _MAKING
    folder, record = records.find(state, ref)
    while record.starting and records.alive(record):
        if time.monotonic() > deadline:
            raise RunError(f"{record.name} is still being made", where=f"by process {record.monitor}")
        time.sleep(0.01)
        folder, record = records.find(state, record.id)
    return folder, record


def ended(record: Record, timeout: float | None) -> bool:
    """Wait for an instance to end, its monitor first and then what the kernel takes down with that; whether it has."""
    for pid, began, patience in (
        (record.monitor, record.began, timeout),
        (record.pid, record.pid_began, _TAKEN_DOWN),
        (record.carrier, record.carrier_began, _TAKEN_DOWN),  # whose ports are then free again
        (record.watcher, record.watcher_began, _TAKEN_DOWN),  # which then has written everything
    ):
        watched = _descriptor(pid)
        if watched is None:
            continue
        try:
            # Asked after the descriptor is held: a pid that was given to another process shows by its start time.
            ours = record.boot == records.boot() and records.began(pid) == began
            if ours and not monitor.readable(watched, patience) and pid == record.monitor:
                return False
        finally:
            os.close(watched)
    monitor.reap()
    return True


def _descriptor(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid) if pid else None
    except OSError:
        return None


def send(state: Path, ref: str, name: str) -> None:
    """Send a signal, by its name or number, to the application. RunError if it doesn't run."""
    _, record = records.find(state, ref)
    _signal(record, _number(name))


def _number(name: str) -> int:
    word = name.upper()
    if word.isdecimal() and 0 < int(word) < 65:
        return int(word)
    try:
        return signal.Signals[word if word.startswith("SIG") else f"SIG{word}"]
    except KeyError:
        raise RunError(f"there is no signal {name!r}", hint="SIGTERM, SIGHUP, SIGKILL …; kill -l lists them") from None


def _signal(record: Record, number: int) -> None:
    """By way of a descriptor, so that the pid can't become another's meanwhile."""
    if not records.alive(record) or not record.pid:
        raise RunError(f"{record.name} doesn't run")
    try:
        target = os.pidfd_open(record.pid)
    except OSError:
        return
    try:
        if records.alive(record) and records.began(record.pid) == record.pid_began:
            signal.pidfd_send_signal(target, number)
    except ProcessLookupError:
        pass
    finally:
        os.close(target)


def stop(state: Path, ref: str, grace: float = GRACE) -> int:
    """End an instance: its stop signal, ``grace`` seconds, SIGKILL. Its exit code; one that has ended is no error."""
    folder, record = _made(state, ref)
    if records.alive(record):
        _try(record, _number(record.stop_signal))
        if not ended(record, grace):
            _try(record, signal.SIGKILL)
            if not ended(record, 5):
                monitor.kill(record.monitor)
                ended(record, 5)
    code = records.observe(folder, record).exit_code
    if record.remove:
        records.discard(state, folder, record)
    return 137 if code is None else code


def _try(record: Record, number: int) -> None:
    try:
        _signal(record, number)
    except RunError:
        if number == signal.SIGKILL:
            monitor.kill(record.monitor)


def remove(state: Path, ref: str, *, force: bool = False) -> None:
    """Remove what is left of an instance but its volumes. RunError if it runs and ``force`` doesn't stop it."""
    folder, record = records.find(state, ref)
    if records.alive(record):
        if not force:
            raise RunError(f"{record.name} runs", hint=f"oslet stop {record.name} first, or rm --force")
        stop(state, record.id, grace=0)
    records.discard(state, folder, record)


def prune(state: Path) -> int:
    """Remove ended instances that asked to leave nothing, and folders that no start finished; how many."""
    removed = 0
    for folder, record in records.records(state):
        if record.remove and not records.alive(record):
            records.discard(state, folder, record)
            removed += 1
    return removed


def logs(state: Path, ref: str, *, follow: bool = False, tail: int | None = None) -> Iterator[Line]:
    """What a detached instance wrote, standard output first; with ``follow``, then what it writes until it ends.
    ``tail`` bounds how many lines of each stream's past are given. Lines keep their stream's order, not across both.
    """
    folder, record = records.find(state, ref)
    streams: tuple[Literal["stdout", "stderr"], ...] = ("stdout", "stderr")
    files = {s: (folder / f"{s}.log") for s in streams}
    opened = {s: f.open("rb") for s, f in files.items() if f.exists()}
    try:
        for stream, file in opened.items():
            if tail is not None:
                file.seek(_tail(file.fileno(), tail))
            for text in file:
                yield Line(stream, text)
        while follow:
            running = records.alive(record)
            for stream, file in opened.items():
                for text in file:
                    yield Line(stream, text)
            if not running:
                return
            time.sleep(0.05)
    finally:
        for file in opened.values():
            file.close()


def _tail(descriptor: int, lines: int) -> int:
    """Where the last ``lines`` lines of a file begin, read backwards by blocks."""
    end = os.fstat(descriptor).st_size
    position, wanted = end, lines + 1
    while position > 0:
        start = max(0, position - _BLOCK)
        block = os.pread(descriptor, position - start, start)
        if position == end and not block.endswith(b"\n"):
            wanted -= 1
        for at in range(len(block) - 1, -1, -1):
            if block[at] == 10:
                wanted -= 1
                if wanted == 0:
                    return start + at + 1
        position = start
    return 0 if lines else end


def stats(state: Path, ref: str) -> Stats:
    """RunError if the instance doesn't run."""
    _, record = records.find(state, ref)
    if not records.alive(record):
        raise RunError(f"{record.name} doesn't run")
    pids = (record.pid, *records.descendants(record.pid)) if record.pid else ()
    ticks = os.sysconf("SC_CLK_TCK")
    cpu = memory = living = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            # Its own time and that of the children it has waited for: proc_pid_stat(5), fields 14 to 17.
            cpu += sum(map(int, fields[11:15]))
            memory += _memory(pid)
            living += 1
        except (OSError, ValueError, IndexError):
            continue
    uptime = max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - record.began / ticks)
    return Stats(memory, cpu / ticks, living, uptime, limits.usage(tuple(Path(c) for c in record.cgroups)))


def _memory(pid: int) -> int:
    """Proportional set size, in bytes; the resident one where another user's may not be seen."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
