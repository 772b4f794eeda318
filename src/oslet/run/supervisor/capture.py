"""Capture: what an instance writes goes into files, with the times at which it came.

``splice(2)`` moves bytes from the pipe into the file within the kernel, so that a supervisor killed at any moment has
moved them or not: no byte is lost or written twice. The keeper holds the pipe meanwhile. Times stand in a file of their
own, of which a crash may lose the last.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

from oslet.run.output import OLD, STAMP, times

LIMIT = 8 << 20
"""Bytes of one file; with OLD full ones that are kept beside it, the most that a stream takes."""
_BLOCK = 1 << 20


class Captured:
    """One stream: the reading end of its pipe, and the file it goes to. Once closed it makes no file any more, whoever
    is just about to carry. ``unhear`` is called when nothing more is to be heard of the pipe."""

    def __init__(self, pipe: int, file: Path) -> None:
        self.pipe = pipe
        self.unhear: Callable[[int], None] = lambda _: None
        self._path = file
        self._lock = threading.Lock()
        self._file = self._times = -1
        os.set_blocking(pipe, False)

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(self._path, flags, 0o600)
        self._at = os.lseek(self._file, 0, os.SEEK_END)
        self._times = os.open(times(self._path), flags | os.O_APPEND, 0o600)

    def carry(self) -> None:
        """Move what has come."""
        with self._lock:
            if self.pipe >= 0 and not self._carry():
                self.unhear(self.pipe)

    def _carry(self) -> bool:
        """Whether more may come."""
        if self._file < 0:
            self._open()
        while True:
            try:
                moved = os.splice(self.pipe, self._file, _BLOCK, flags=os.SPLICE_F_NONBLOCK)
            except BlockingIOError:
                return True
            except OSError:
                return False  # the disk is full, say: the application is not to wait for that
            if not moved:
                return False
            os.write(self._times, struct.pack(STAMP, self._at, time.time()))
            self._at += moved
            if self._at >= LIMIT:
                self._rotate()

    def _rotate(self) -> None:
        self._close_files()
        for path in (self._path, times(self._path)):
            for number in range(OLD - 1, 0, -1):
                older = path.with_name(f"{path.name}.{number}")
                if older.exists():
                    older.replace(path.with_name(f"{path.name}.{number + 1}"))
            path.replace(path.with_name(f"{path.name}.1"))
        self._open()

    def _close_files(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            os.close(self._times)
        self._file = self._times = -1

    def into(self, file: Path) -> None:
        """Go on in another file; nothing came yet."""
        self._path = file

    def close(self) -> None:
        with self._lock:
            self._close_files()
            if self.pipe >= 0:
                self.unhear(self.pipe)
                os.close(self.pipe)
            self.pipe = -1
