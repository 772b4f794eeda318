"""A tree as one read-only file system, by mkfs.erofs(1) 1.8: equal trees give equal bytes, for whoever makes them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from oslet.build.layers import content, member
from oslet.codec import digest
from oslet.errors import BuildError
from oslet.formats.tar import Member, Writer
from oslet.model.tree import Entry, Tree
from oslet.store import Store

Compression: TypeAlias = Literal["none", "lz4hc", "lzma"]
"""``lz4hc`` is the quickest to make and to read that is smaller than ``none``; ``lzma`` is the smallest, takes twenty
times as long to make, and wants a kernel with EROFS_FS_ZIP_LZMA."""

FILE = "root.erofs"
MOUNTS = {"/dev": 0o755, "/proc": 0o555, "/run": 0o755, "/sys": 0o555, "/tmp": 0o1777}
"""Folders that any guest mounts something on."""

_OPTIONS: dict[Compression, tuple[str, ...]] = {
    "none": (),
    "lz4hc": ("-zlz4hc,level=9", "-C16384"),
    "lzma": ("-zlzma,level=6", "-C1048576"),
}
_EDITION = 1
"""Of the file's bytes: counts up when the same tree would be written differently."""


def root(tree: str, store: Store, mkfs: Path, compression: Compression) -> Path:
    """The store's file with the tree of that digest as an erofs; made the first time. BuildError if mkfs.erofs fails.

    ``mkfs`` stands in a folder that is named by its package's digest, so that its version is part of the key.
    """
    key = digest(("erofs", tree, compression, _OPTIONS[compression], mkfs.parts[-4:], _EDITION))

    def fill(folder: Path) -> None:
        archive = folder / "tar"
        with archive.open("wb") as stream:
            writer = Writer(stream)
            for each, chunks in members(store.load(tree, Tree), store):
                writer.add(each, chunks)
            writer.close()
        make(archive, folder / FILE, mkfs, compression, name=key)
        archive.unlink()

    return store.keep_machine(key, tree, fill) / FILE


def members(tree: Tree, store: Store) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """The tree as a tar's members, with root's folder and those that a guest mounts something on."""
    entries = {entry.path: entry for entry in tree.entries}
    for path, mode in {"/": 0o755, **MOUNTS}.items():
        entries.setdefault(path, Entry(path, "dir", mode))
    for _, entry in sorted(entries.items()):
        yield member(entry), content(entry, store) if entry.kind == "file" else iter(())


def make(archive: Path, file: Path, mkfs: Path, compression: Compression, *, name: str) -> None:
    """A tar as an erofs, for anyone: owners are the tar's. Its UUID is made from ``name``, its times are 0."""
    command = [
        str(mkfs),
        "--quiet",
        "--tar=f",
        "-T0",
        "-U",
        uuid(name),
        *_OPTIONS[compression],
        str(file),
        str(archive),
    ]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise BuildError(
            "mkfs.erofs can't make the root", where=done.stderr.strip()[-300:] or f"code {done.returncode}"
        )


def uuid(name: str) -> str:
    """A UUID that follows from a name (RFC 9562, version 8: its bits are whatever its maker says)."""
    import hashlib
    import uuid

    data = bytearray(hashlib.sha256(name.encode()).digest()[:16])
    data[6], data[8] = data[6] & 0x0F | 0x80, data[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(data)))
