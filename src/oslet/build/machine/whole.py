"""One initramfs that is a whole machine's root, for monitors and boot loaders that know of no disks.

It is unpacked into memory, so a guest needs room for all of it, twice while it boots. It is two archives: what packages
brought, which takes seconds to pack and is kept, and what a change of the application changes.
"""

from __future__ import annotations

import stat
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

from msgspec.structs import replace

from oslet.build.layers import content
from oslet.build.machine.erofs import MOUNTS
from oslet.build.machine.initramfs import members
from oslet.codec import digest
from oslet.errors import BuildError, IntegrityError
from oslet.formats import cpio
from oslet.model.tree import Entry, Tree
from oslet.store import Store

Packing: TypeAlias = Literal["gzip", "xz"]
"""Every kernel of ours unpacks ``gzip``; ``xz`` is a quarter smaller."""

_KINDS = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "link": stat.S_IFLNK}
MOST = 1 << 30
_MEMORY, _EDITION = "initramfs", 1
_DICTIONARY = 8 << 20
"""Bytes; 64 MiB make nothing smaller."""


def whole(
    tree: Tree, store: Store, init: bytes, modules: Sequence[Path] = (), boot: bytes = b"", packing: Packing = "gzip"
) -> bytes:
    """The tree with init in it. Each archive is padded to four bytes, since another one may follow (the kernel's
    Documentation/driver-api/early-userspace/buffer-format.rst). BuildError over 1 GiB, or where the tree has a file at
    init's place."""
    if tree.size > MOST:
        raise BuildError(f"an initramfs of {tree.size} bytes", where="root", hint="export it with --form disk")
    own = {member.path: member for member in members(init, modules, boot)}
    entries = {path: Entry(path, "dir", mode) for path, mode in MOUNTS.items()} | {e.path: e for e in tree.entries}
    for path in own:
        if (there := entries.get(path)) and there.kind != "dir":
            raise BuildError("the image has a file where a guest's init stands", where=path)
    laid = [entry for path, entry in sorted(entries.items()) if path != "/" and path not in own]
    files = {entry.path for entry in laid if entry.origin == "files" and entry.kind != "dir"}
    changing = {entry.path for entry in laid if entry.kind == "file" and entry.by in files} | files  # its byte code
    packed = _kept([entry for entry in laid if entry.path not in changing], store, packing)
    last = [_member(entry, store) for entry in laid if entry.path in changing]
    return packed + _packed([*own.values(), *last], packing)


def _kept(entries: Sequence[Entry], store: Store, packing: Packing) -> bytes:
    """The archive of ``entries``, which the store remembers."""
    stands = [replace(entry, origin="", reason="", by="") for entry in entries]
    key = digest(("initramfs", _EDITION, packing, tuple(stands)))
    if known := store.recall(_MEMORY, key):
        with suppress(IntegrityError):
            return store.read(known.decode(), MOST)
    made = _packed([_member(entry, store) for entry in entries], packing)
    store.remember(_MEMORY, key, store.put(made).encode())
    return made


def _packed(members: Sequence[cpio.Member], packing: Packing) -> bytes:
    made = _PACKERS[packing](cpio.pack(members))
    return made + bytes(-len(made) % cpio.ALIGN)


def _member(entry: Entry, store: Store) -> cpio.Member:
    data = b"".join(content(entry, store)) if entry.kind == "file" else entry.target.encode()
    mode = 0o777 if entry.kind == "link" else entry.mode
    return cpio.Member(entry.path, _KINDS[entry.kind] | mode, data, entry.uid, entry.gid)


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=31)  # no time in it
    return packer.compress(data) + packer.flush()


def _xz(data: bytes) -> bytes:
    """As the kernel's decoder takes it (Documentation/staging/xz.rst): CRC-32, x86 code's jumps made absolute first.
    The dictionary is memory of the guest's while it boots."""
    import lzma

    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 4, "dict_size": _DICTIONARY}]
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)


_PACKERS: dict[Packing, Callable[[bytes], bytes]] = {"gzip": _gzip, "xz": _xz}
