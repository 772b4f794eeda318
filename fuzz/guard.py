"""What a reader may not do: touch anything outside its scratch folder, start a program, open a connection.

An audit hook hears each of these from within the interpreter (PEP 578), whatever code asks for it.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MEMORY = 500 << 20
"""Bytes that a process which reads one hostile input after the other may ever hold."""
SECONDS = 10.0
"""Of the processor, for one input."""
PATIENCE = 12 * SECONDS
"""Of the clock, before the engine gives an input up: instrumented, on a busy machine, at the lowest priority."""
MEMORY_DISK = next((folder for folder in ("/dev/shm",) if os.access(folder, os.W_OK)), None)
"""Where scratch folders are quick, since stores sync what they write; None for the usual place."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FOLLOWING = {"os.chmod": 2, "os.truncate": None, "os.setxattr": None}
"""Events whose path is followed through links, and where among their arguments the folder's descriptor is."""
_PLACES = {
    "os.mkdir": ((0, 2),),
    "os.rmdir": ((0, 1),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.chown": ((0, 3),),  # these two don't say whether they follow a link
    "os.utime": ((0, 3),),
}
"""Events that change an entry of a folder, and which of their arguments are (path, folder's descriptor)."""
_NEVER = (
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.kill"),
    *("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "ctypes.dlopen"),
)


class Guard:
    """Hears what the process does while ``watching``; ``escapes`` are sentences about what it may not."""

    def __init__(self, room: Path) -> None:
        self.room = os.path.realpath(room)
        self.escapes: list[str] = []
        self._watching = False
        sys.addaudithook(self._hear)

    @contextmanager
    def watching(self) -> Iterator[None]:
        self.escapes.clear()
        self._watching = True
        try:
            yield
        finally:
            self._watching = False

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        if event == "open":
            if isinstance(args[0], str | bytes) and isinstance(args[2], int) and args[2] & _WRITES:
                self._check(event, os.path.realpath(os.fsdecode(args[0])))
        elif event in _PLACES:
            for path, folder in _PLACES[event]:
                self._check(event, _standing(args[path], args[folder]))
        elif event in _FOLLOWING:
            at = _FOLLOWING[event]
            self._check(event, os.path.realpath(_standing(args[0], args[at] if at else -1)))
        elif event == "sqlite3.connect":
            name = os.fsdecode(args[0]).removeprefix("file:").partition("?")[0]
            self._check(event, os.path.realpath(name))
        elif event in _NEVER and args[:1] != (None,):  # dlopen(None) is this program
            self.escapes.append(f"{event} {args[:1]!r:.200}")

    def _check(self, event: str, path: str) -> None:
        inside = path == self.room or path.startswith(self.room + "/")
        if not inside and path != os.devnull:
            self.escapes.append(f"{event} {path[:200]}")


def _standing(path: Any, folder: int) -> str:
    """Where an entry really stands: its folder without links, its own name as it is."""
    if isinstance(path, int):
        return os.readlink(f"/proc/self/fd/{path}")
    text = os.fsdecode(path)
    if folder >= 0 and not text.startswith("/"):
        text = f"{os.readlink(f'/proc/self/fd/{folder}')}/{text}"
    head, name = os.path.split(text.rstrip("/"))
    return os.path.join(os.path.realpath(head or "."), name)  # noqa: PTH118 - the hook runs often


def peak() -> int:
    """The most bytes that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def bound(seconds: float) -> None:
    """The kernel's own limits, as a last resort: address space beyond which an allocation fails, processor time."""
    sys.dont_write_bytecode = True
    room = 2 * MEMORY + (1 << 30)  # libFuzzer and shared libraries are mapped, never filled
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 60, int(seconds) + 90))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
