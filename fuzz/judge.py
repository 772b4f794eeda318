"""What counts as a finding: anything out of a reader but a value or an OsletError, and broken promises."""

from __future__ import annotations

import gc
import shutil
import time
import traceback
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fuzz.guard import MEMORY, SECONDS, Guard, peak
from oslet.errors import MAX_LINES, OsletError


class Reader(NamedTuple):
    """A reader of foreign bytes. ``read`` gives a comparable value; it may write below the folder that it is given.

    It raises OsletError for what it refuses, and Broken where a promise of the reader doesn't hold.
    """

    name: str
    what: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[bytes, Path], object]
    words: tuple[bytes, ...] = ()
    longest: int = 1 << 14


class Broken(Exception):  # noqa: N818
    """A promise that a reader didn't keep."""


class Finding(Exception):  # noqa: N818
    """What is wrong with a reader. ``place`` names it shortly: findings of one place are one finding."""

    def __init__(self, place: str, what: str) -> None:
        super().__init__(f"{place}\n{what}")
        self.place = place


def promise(holds: object, what: str) -> None:
    if not holds:
        raise Broken(what)


def judge(reader: Reader, data: bytes, guard: Guard) -> bool:
    """Whether ``reader`` took ``data``. Raises Finding."""
    before = peak()
    try:
        with guard.watching():
            first = _outcome(reader, data, guard)
            if zlib.crc32(data) % 4 == 0:
                promise(_outcome(reader, data, guard) == first, "a second reading gives something else")
    except Broken as broken:
        raise Finding(f"broken promise: {broken}", "") from None
    except Exception as error:
        raise Finding(_place(error), "".join(traceback.format_exception(error)[-12:])) from None
    if guard.escapes:
        raise Finding(f"escape: {guard.escapes[0]}", "\n".join(guard.escapes[:10]))
    if peak() > MEMORY:
        raise Finding("memory", f"{before >> 20} MB before, {peak() >> 20} MB at its peak")
    return first[0] == ""


def _outcome(reader: Reader, data: bytes, guard: Guard) -> tuple[str, object]:
    room = Path(guard.room)
    started = time.process_time()
    try:
        return "", reader.read(data, room)
    except OsletError as error:
        text = str(error)
        promise(len(text.splitlines()) <= MAX_LINES, "an error of more lines than an error has")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Broken("an error that can't be printed") from None
        return type(error).__name__, text
    finally:
        promise(time.process_time() - started <= SECONDS, f"it takes more than {SECONDS:.0f} s")
        gc.collect(0)  # what a refusal left open
        for left in room.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()


def _place(error: BaseException) -> str:
    """The exception and the innermost line of ours that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/oslet/" in frame.filename] or frames
    where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno} {ours[-1].name}"
    return f"{type(error).__name__} in {where}"
