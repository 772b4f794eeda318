"""Living: what can be done with an instance that was started."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from oslet.errors import RunError
from oslet.model.instance import Instance, Secret
from oslet.run import client, limits, records, wire
from oslet.run.records import Record

GRACE = 10.0
"""Seconds between the stop signal and SIGKILL. An application is pid 1 of its instance, and pid 1 ignores signals it
has no handler for (pid_namespaces(7)), so that the second often comes."""


class Stats(Struct, frozen=True):
    """What an instance uses now: bytes of memory it shares with nobody or its part of what it shares, seconds of
    processor time since it started, processes, seconds it has run; and its limits' own count where it has them."""

    memory: int
    cpu: float
    processes: int
    uptime: float
    counted: dict[str, int]


def inspect(state: Path, ref: str) -> Instance:
    folder, record = records.find(state, ref)
    return records.observe(folder, record)


def wait(state: Path, ref: str, timeout: float | None = None) -> int:
    """The exit code, once the instance has ended. RunError if it hasn't after ``timeout`` seconds."""
    folder, record = records.find(state, ref)
    if (code := records.observe(folder, record).exit_code) is not None:
        return code
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        with client.asked(state, wire.Wait(record.id)) as connection:
            connection.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
            try:
                reply, _ = client.answer(connection)
            except TimeoutError:
                raise RunError(f"{record.name} still runs after {timeout:g} s") from None
            except ConnectionError:
                continue  # the supervisor was killed: the next one knows
        return reply.code if isinstance(reply, wire.Ended) else 137


def send(state: Path, ref: str, name: str) -> None:
    """Send a signal, by its name or number, to the application. RunError if it doesn't run."""
    _, record = records.find(state, ref)
    _signal(record, signal_number(name))


def signal_number(name: str) -> int:
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
    _, record = records.find(state, ref)
    reply = _stop(state, record, wire.Stop(record.id, grace))
    return reply.code if isinstance(reply, wire.Ended) else 137


def restart(
    state: Path,
    ref: str,
    arguments: Mapping[str, Any] = {},
    *,
    env: Mapping[str, str | None] = {},
    grace: float = GRACE,
    later: bool = False,
) -> Instance:
    """End an instance and begin it again: its id, name and ports stay, and so do its arguments and variables, but for
    those that are given (None takes a variable back). With ``later`` they are for its next start, whatever brings that
    about. DeclarationError or RunError, with nothing ended, for what it can't be."""
    record = records.find(state, ref)[1]
    given = {name: value.reveal() if isinstance(value, Secret) else value for name, value in arguments.items()}
    asked = wire.Restart(record.id, os.urandom(8).hex(), grace, given, dict(env), later)
    reply = client.ask(state, asked)
    if not isinstance(reply, wire.Started):
        raise RunError("the supervisor answered something else", where=type(reply).__name__)
    return reply.instance


def _stop(state: Path, record: Record, asked: wire.Stop) -> wire.Reply:
    """By way of the supervisor. One that was started after a keeper and its supervisor were killed together may not end
    an ordinary user's earlier instances, which are in another user namespace; that user may (user_namespaces(7))."""
    try:
        return client.ask(state, asked)
    except RunError:
        if not records.alive(record):
            raise
        for number, patience in ((signal_number(record.stop_signal), asked.grace), (signal.SIGKILL, GRACE)):
            if patience > 0 and records.alive(record):
                _signal(record, number)
            deadline = time.monotonic() + patience
            while records.alive(record) and time.monotonic() < deadline:
                time.sleep(0.01)
        return client.ask(state, asked)


def remove(state: Path, ref: str, *, force: bool = False) -> None:
    """Remove what is left of an instance but its volumes. RunError if it runs and ``force`` doesn't stop it."""
    folder, record = records.find(state, ref)
    if records.alive(record) and not force:
        raise RunError(f"{record.name} runs", hint=f"oslet stop {record.name} first, or rm --force")
    try:
        _stop(state, record, wire.Stop(record.id, 0, remove=True))
    except RunError:
        if records.read(folder):  # a supervisor that was killed had removed it before it could say so
            raise


def stats(state: Path, ref: str) -> Stats:
    """RunError if the instance doesn't run."""
    return used(records.find(state, ref)[1])


def used(record: Record) -> Stats:
    """What the instance of a record uses. RunError if it doesn't run."""
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
    uptime = max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - record.pid_began / ticks)
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
