"""Events: what happened to instances. The supervisor writes a line of JSON each (``supervisor/events.py``)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

FILE, OLD = "events.jsonl", "events.jsonl.1"
_LOOK = 0.05
_LONGEST = 1 << 16


class Event(Struct, frozen=True):
    """One: ``start``, ``restart``, ``exit``, ``healthy`` or ``unhealthy`` of an instance, when (POSIX seconds), and the
    exit code where one ended."""

    time: float
    event: str
    id: str
    name: str
    image: str
    code: int | None = None


def events(state: Path, *, follow: bool = False, since: float = 0.0) -> Iterator[Event]:
    """What happened from ``since`` on, in order; with ``follow``, then what happens. Of the past, the last megabyte or
    two is known."""
    reader = _Reader(state)
    try:
        while True:
            for line in reader.lines():
                event = _event(line)
                if event and event.time >= since:
                    yield event
            if not follow:
                return
            time.sleep(_LOOK)
    finally:
        reader.close()


def _event(line: bytes) -> Event | None:
    try:
        return msgspec.json.decode(line, type=Event)
    except msgspec.MsgspecError:
        return None  # cut short by a full disk, or of a later version


class _Reader:
    """The file before and the one that is written, followed as the second becomes the first."""

    def __init__(self, state: Path) -> None:
        self._path, self._older = state / FILE, state / OLD
        self._file: IO[bytes] | None = _opened(self._older) or _opened(self._path)
        self._part = b""

    def lines(self) -> Iterator[bytes]:
        """The whole lines that have come since the last call."""
        while True:
            while block := self._file.read(_LONGEST) if self._file else b"":
                *lines, self._part = (self._part + block).split(b"\n")
                yield from lines
            if not self._turn():
                return

    def _turn(self) -> bool:
        """Go on with the next file, if there is one: nothing is written to a file once another has its name."""
        mine = os.fstat(self._file.fileno()).st_ino if self._file else 0
        fresh = _opened(self._path)
        if fresh is None or os.fstat(fresh.fileno()).st_ino == mine:
            if fresh:
                fresh.close()
            return False
        older = _opened(self._older) if mine else None
        if older and os.fstat(older.fileno()).st_ino not in (mine, os.fstat(fresh.fileno()).st_ino):
            fresh.close()
            fresh = older  # it was turned more than once meanwhile
        elif older:
            older.close()
        rest = self._file.read() if self._file else b""
        self.close()
        self._file, self._part = fresh, b""
        if rest.strip():
            self._part = rest if rest.endswith(b"\n") else rest + b"\n"
        return True

    def close(self) -> None:
        if self._file:
            self._file.close()
        self._file = None


def _opened(path: Path) -> IO[bytes] | None:
    try:
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        return None
