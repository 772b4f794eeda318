"""Carriers: one process a copy, which goes into the instance's namespaces and is given the client's streams."""

from __future__ import annotations

import os
import signal
import sys

from oslet.errors import RunError
from oslet.run import carrying, records, wire
from oslet.run.monitor import above
from oslet.run.records import Record


def start(record: Record, asked: wire.Carry, stdio: tuple[int, int, int]) -> int:
    """A carrier's pid; it is a child of this process, and tells the client what goes wrong. RunError if it can't be
    started."""
    target = os.pidfd_open(record.pid)
    try:
        if records.began(record.pid) != record.pid_began:
            raise RunError(f"{record.name} has ended")
        owner = [str(record.uid), str(record.gid)] if asked.into else []
        words = [asked.only or ("in" if asked.into else "out"), asked.path, *owner]
        copies = [above(fd) for fd in (*stdio, target)]
        try:
            return os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", carrying.__file__, *words],
                {"PYTHONUTF8": "1"},
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(copies)],
                setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGHUP],
                setsigmask=[],
            )
        finally:
            for fd in copies:
                os.close(fd)
    finally:
        os.close(target)
