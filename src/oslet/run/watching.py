"""Watching: an instance whose every use of a path is recorded, without a change to what it does.

The runtime's filter tells a listener of the system calls that take a path (``syscalls``), and the listener, a small
process an instance (``watcher``), writes down which of the tree's paths were meant. No ptrace, no privilege.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from typing import Any

from oslet.codec import canonical, decode
from oslet.errors import IntegrityError, RunError
from oslet.model.tree import Entry
from oslet.model.watch import Watched
from oslet.run import monitor, records, syscalls
from oslet.run.watcher import BEYOND, LISTENING, PATHS, RECORD

SOCKET, LOG = "watch.sock", "watch.log"
_LAST_WORDS = 10.0
"""Seconds that a watcher may take to write what it has once its instance has ended."""


def listen(
    folder: Path, entries: Iterable[Entry] | None, root: Path, image: str, *, beyond: Sequence[str] | None = None
) -> int:
    """Start the watcher of the instance of ``folder``, on all ``entries`` of its tree, and on the system calls
    ``beyond`` its image's own; None where that isn't to be watched. The watcher's pid."""
    rows = [(e.path, e.kind, e.target) for e in entries or ()]
    (folder / PATHS).write_bytes(canonical(rows))
    if beyond is not None:
        (folder / BEYOND).write_bytes(canonical(tuple(beyond)))
    image = image if entries is not None else ""
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


def heard(filters: dict[str, Any], folder: Path, *, paths: bool = True) -> dict[str, Any]:
    """An instance's system call filters, their news, and with ``paths`` each use of one, brought to the watcher that
    ``listen`` started."""
    return {**(syscalls.notified(filters) if paths else filters), "listenerPath": str(folder / SOCKET)}


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
    """What was used so far by the instance of this folder, which may be nothing; None for one that isn't watched."""
    try:
        return decode((folder / RECORD).read_bytes(), Watched, where=str(folder / RECORD))
    except FileNotFoundError:
        beyond = () if (folder / BEYOND).exists() else None
        return Watched("", beyond=beyond) if (folder / PATHS).exists() else None
    except IntegrityError:
        return None


def of(state: Path, ref: str) -> Watched:
    """What an instance used so far. RunError for one that isn't watched."""
    folder, record = records.find(state, ref)
    if found := read(folder):
        return found
    raise RunError(f"{record.name} isn't watched", hint="start it with oslet run --audit, or --seccomp log")
