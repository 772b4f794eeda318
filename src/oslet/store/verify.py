"""Checks that everything in the store is what its name says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from oslet.errors import Fault, OsletError
from oslet.model.image import Image
from oslet.model.lock import Lock
from oslet.model.tree import Entry, Tree
from oslet.store.contents import checked, hash_file, permissions
from oslet.store.trees import folder_mode

if TYPE_CHECKING:
    from oslet.store import Store

_AGAIN = "remove it and build again"


def faults(store: Store) -> Iterator[Fault]:
    """Every fault found: objects, blobs, values and memos are hashed again, trees compared with their values."""
    root = store.root
    good: set[int] = set()
    for path in _files(root / "objects"):
        fault = _object(path)
        if fault:
            yield Fault(fault, _place(root, path), _AGAIN)
        else:
            good.add(path.stat().st_ino)
    for room in ("blobs", "values"):
        for path in _files(root / room):
            if hash_file(path) != path.name:
                yield Fault("its content is not what its name says", _place(root, path), _AGAIN)
    for path in _files(root / "memo"):
        if checked(path.read_bytes()) is None:
            yield Fault("its checksum is wrong", _place(root, path), "remove it; it is made again at need")
    for path in sorted((root / "images").iterdir()):
        yield from _image(store, path.name)
    for room in ("tags", "pins"):
        for path in sorted((root / room).iterdir()):
            digest = path.read_text("ascii", "replace")
            if not store.has_image(digest):
                yield Fault(f"means image {digest[:64]!r}, which is not there", _place(root, path), "remove it")
    for path in sorted((root / "trees").iterdir()):
        yield from _tree(store, path, good)


def _object(path: Path) -> str:
    digest, _, mode = path.name.partition(".")
    if hash_file(path) != digest:
        return "its content is not what its name says"
    if f"{stat.S_IMODE(path.stat().st_mode):o}" != mode:
        return f"its mode is not {mode}"
    return ""


def _image(store: Store, digest: str) -> Iterator[Fault]:
    where = f"image {digest[:16]}"
    try:
        image = store.load(digest, Image)
        store.load(image.lock, Lock)
        tree = store.load(image.tree, Tree)
    except OsletError as error:
        yield Fault(error.what, f"{where}: {error.where}", "build the image again")
        return
    for entry in tree.entries:
        if entry.kind == "file" and not store.has_object(entry.digest, entry.mode, entry.size):
            yield Fault(f"the object of {entry.path} is missing", where, "build the image again")
            return


def _tree(store: Store, path: Path, good: set[int]) -> Iterator[Fault]:
    """Trees whose value is gone (a build's passing ones) are left out: nothing runs from them, and gc removes them."""
    try:
        tree = store.load(path.name, Tree)
    except OsletError:
        return
    wanted = {entry.path: entry for entry in tree.entries if entry.path != "/"}
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            at = Path(folder, name)
            entry = wanted.pop("/" + str(at.relative_to(path)), None)
            fault = "belongs to no such tree" if entry is None else _differs(at, entry, good)
            if fault:
                yield Fault(fault, _place(store.root, at), _AGAIN)
    for missing in list(wanted)[:10]:
        yield Fault("is missing", _place(store.root, path) + missing, _AGAIN)


def _differs(path: Path, entry: Entry, good: set[int]) -> str:
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if entry.kind == "link":
        if not stat.S_ISLNK(status.st_mode) or str(path.readlink()) != entry.target:
            return f"is not the link to {entry.target}"
    elif entry.kind == "dir":
        if not stat.S_ISDIR(status.st_mode) or mode != folder_mode(entry.mode):
            return f"is not the folder of mode {folder_mode(entry.mode):o}"
    elif not stat.S_ISREG(status.st_mode) or mode != permissions(entry.mode):
        return f"is not the file of mode {permissions(entry.mode):o}"
    elif status.st_size != entry.size or not (status.st_ino in good or hash_file(path) == entry.digest):
        return "its content is not the tree's"
    return ""


def _place(root: Path, path: Path) -> str:
    return str(path.relative_to(root))


def _files(room: Path) -> Iterator[Path]:
    for folder in sorted(room.iterdir()):
        yield from sorted(folder.iterdir())
