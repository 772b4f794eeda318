"""Logs: what a detached instance wrote, in the order in which it came, with the times."""

from __future__ import annotations

import os
import struct
import time
from bisect import bisect_right
from collections.abc import Iterator
from heapq import merge
from pathlib import Path
from typing import IO, Literal, NamedTuple

from oslet.run import records

STAMP = "<Qd"
"""One entry of a file of times: from which byte of the log on, and when that came (POSIX seconds)."""
OLD = 3
"""How many full files of a stream are kept: ``stdout.log.1`` is the youngest."""
_LOOK = 0.05
_LONGEST = 1 << 20
"""Bytes after which a line is taken for whole."""

Stream = Literal["stdout", "stderr"]


class Line(NamedTuple):
    """A line that an instance wrote, with its end, where, and when."""

    stream: Stream
    text: bytes
    time: float = 0.0


def times(log: Path) -> Path:
    """Where the times of a log stand."""
    return log.with_name(log.name.replace(".log", ".times"))


def logs(state: Path, ref: str, *, follow: bool = False, tail: int | None = None, since: float = 0.0) -> Iterator[Line]:
    """What a detached instance wrote; with ``follow``, then what it writes until it ends. ``tail`` bounds how many
    lines of the past are given, ``since`` (POSIX seconds) from when on. Streams are merged by the time at which their
    bytes came."""
    folder, record = records.find(state, ref)
    readers = [_Reader(folder, stream) for stream in ("stdout", "stderr")]
    try:
        found = merge(*(reader.lines() for reader in readers), key=lambda line: line.time)
        past = [line for line in found if line.time >= since]
        yield from past if tail is None else past[max(0, len(past) - tail) :] if tail else ()
        while follow:
            running = records.there(record)
            fresh = list(merge(*(reader.lines() for reader in readers), key=lambda line: line.time))
            yield from fresh
            if not running:
                break
            if not fresh:
                time.sleep(_LOOK)
        yield from (line for reader in readers for line in reader.rest() if line.time >= since)
    finally:
        for reader in readers:
            reader.close()


class _Reader:
    """One stream's files, oldest first, followed as they are renamed."""

    def __init__(self, folder: Path, stream: Stream) -> None:
        self._stream: Stream = stream
        self._path = folder / f"{stream}.log"
        self._file: IO[bytes] | None = None
        self._stamps: list[tuple[int, float]] = []
        self._index: IO[bytes] | None = None
        self._at = 0
        self._part = b""
        self._since = 0.0
        old = (self._path.with_name(f"{self._path.name}.{n}") for n in range(OLD, 0, -1))
        self._next = [path for path in old if path.exists()]
        self._open(self._next.pop(0) if self._next else self._path)

    def _open(self, path: Path) -> bool:
        try:
            file = path.open("rb", buffering=0)
        except FileNotFoundError:
            return False
        self.close()
        self._file, self._at, self._stamps = file, 0, []
        index = times(path)
        self._index = index.open("rb", buffering=0) if index.exists() else None
        return True

    def lines(self) -> Iterator[Line]:
        """What has come since the last call, in whole lines."""
        while True:
            block = self._file.read(_LONGEST) if self._file else b""
            if block:
                yield from self._whole(block)
            elif not self._turn():
                return

    def rest(self) -> Iterator[Line]:
        """A last line without an end."""
        if self._part:
            yield Line(self._stream, self._part, self._since)
            self._part = b""

    def _whole(self, block: bytes) -> Iterator[Line]:
        while self._index and (entry := self._index.read(struct.calcsize(STAMP))):
            if len(entry) == struct.calcsize(STAMP):
                self._stamps.append(struct.unpack(STAMP, entry))
        if not self._part:
            self._since = self._time(self._at)
        for piece in _split(block):
            self._part += piece
            self._at += len(piece)
            if piece.endswith(b"\n") or len(self._part) >= _LONGEST:
                yield Line(self._stream, self._part, self._since)
                self._part, self._since = b"", self._time(self._at)

    def _time(self, at: int) -> float:
        found = bisect_right(self._stamps, at, key=lambda stamp: stamp[0])
        return self._stamps[found - 1][1] if found else 0.0

    def _turn(self) -> bool:
        """Go on with the next file, if this one is full."""
        if self._next:
            return self._open(self._next.pop(0))
        try:
            fresh = self._path.stat()
        except FileNotFoundError:
            return False
        if self._file and os.fstat(self._file.fileno()).st_ino == fresh.st_ino:
            return False
        older = self._path.with_name(f"{self._path.name}.1")
        if self._file and older.exists() and os.fstat(self._file.fileno()).st_ino != older.stat().st_ino:
            return self._open(older)  # it was turned more than once meanwhile
        return self._open(self._path)

    def close(self) -> None:
        for file in (self._file, self._index):
            if file:
                file.close()
        self._file = self._index = None


def _split(block: bytes) -> list[bytes]:
    """By newlines alone: a carriage return is part of its line."""
    parts = block.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
