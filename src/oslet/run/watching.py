"""Watching: an instance whose every use of a path is recorded, without a change to what it does.

The runtime's filter tells a listener of the system calls that take a path (``syscalls``), and the listener, a small
process an instance (``watcher``), writes down which of the tree's paths were meant. No ptrace, no privilege.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import Any

from oslet.codec import canonical, decode
from oslet.errors import IntegrityError, RunError
from oslet.model.tree import Entry
from oslet.model.watch import Watched
from oslet.run import monitor, records, syscalls
from oslet.run.watcher import LISTENING, PATHS, RECORD

SOCKET, LOG = "watch.sock", "watch.log"
_LAST_WORDS = 10.0
"""Seconds that a watcher may take to write what it has once its instance has ended."""


def listen(folder: Path, entries: Iterable[Entry], root: Path, image: str) -> int:
    """Start the watcher of the instance of ``folder``, on all ``entries`` of its tree; the watcher's pid."""
    rows = [(e.path, e.kind, e.target) for e in entries]
    (folder / PATHS).write_bytes(canonical(rows))
    door = socket(AF_UNIX, SOCK_STREAM)
    where = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    copy = -1
    try:
        door.bind(f"/proc/self/fd/{where}/{SOCKET}")  # a socket's name may have 107 bytes
        door.listen(16)
        copy = monitor.above(door.fileno())
        log = str(folder / LOG)
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "oslet.run.watcher", str(folder), str(root), image],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, copy, LISTENING),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE],
        )
    except OSError as error:
        raise RunError(f"the instance can't be watched: {error.strerror}", where=str(folder)) from None
    finally:
        for descriptor in (copy, where):
            if descriptor >= 0:
                os.close(descriptor)
        door.close()
    monitor.adopt(pid)
    return pid


def watched(filters: dict[str, Any], folder: Path) -> dict[str, Any]:
    """An instance's system call filters, their news brought to the watcher that ``listen`` started."""
    return {**syscalls.notified(filters), "listenerPath": str(folder / SOCKET)}


def finish(watcher: int) -> None:
    """Wait until the watcher of an ended instance has written everything."""
    try:
        descriptor = os.pidfd_open(watcher)
    except OSError:
        return
    try:
        monitor.readable(descriptor, _LAST_WORDS)
    finally:
        os.close(descriptor)


def read(folder: Path) -> Watched | None:
    """What was used so far by the instance of this folder; None for one that isn't watched."""
    try:
        return decode((folder / RECORD).read_bytes(), Watched, where=str(folder / RECORD))
    except FileNotFoundError:
        return Watched("") if (folder / PATHS).exists() else None
    except IntegrityError:
        return None


def of(state: Path, ref: str) -> Watched:
    """What an instance used so far. RunError for one that isn't watched."""
    folder, record = records.find(state, ref)
    if found := read(folder):
        return found
    raise RunError(f"{record.name} isn't watched", hint="start it with oslet run --audit")
