"""Cloning: volumes that begin as a copy of another and are kept. There whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oslet.errors import RunError
from oslet.run.copying import copy, sync

ROOM = ".cloning"
"""Below the volumes' folder, and so on their file system: what is being made."""

_busy: set[Path] = set()
_lock = threading.Lock()


def clone(source: Path, target: Path, data: Path) -> None:
    """Make the volume ``target`` of ``data``, which isn't there or is empty, a copy of ``source``. RunError else."""
    with making(data) as fresh:
        try:
            copy(source, fresh)
        except OSError as error:
            what = f"the volume {source.name} can't be copied: {error.strerror}"
            raise RunError(what, where=str(error.filename or source)) from None
        land(fresh, target)


@contextmanager
def making(data: Path) -> Iterator[Path]:
    """A path for what is to be a volume. What is still there at the end is removed; what a killed supervisor left
    there, by the next one that makes something: only one at a time has a folder of volumes."""
    room = data / ROOM
    with _lock:
        room.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in room.iterdir():
            if left not in _busy:
                shutil.rmtree(left, ignore_errors=True)
        fresh = room / secrets.token_hex(8)
        _busy.add(fresh)
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        with _lock:
            _busy.discard(fresh)


def land(fresh: Path, target: Path) -> None:
    """Give what was made, and is on the disk, its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        fresh.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            hint = "oslet volumes --rm removes it"
            raise RunError(f"there is a volume {target.name!r} already", where=str(target.parent), hint=hint) from None
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(folder)
    finally:
        os.close(folder)


def whole(folder: Path) -> None:
    """See a folder, and all below it, on the disk."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(opened)
    finally:
        os.close(opened)
