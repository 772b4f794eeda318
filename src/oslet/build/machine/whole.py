"""One initramfs that is a whole machine's root, for monitors and boot loaders that know of no disks.

It is unpacked into memory, so a guest needs room for all of it, twice while it boots.
"""

from __future__ import annotations

import stat
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from oslet.build.layers import content
from oslet.build.machine.erofs import MOUNTS
from oslet.build.machine.initramfs import members
from oslet.errors import BuildError
from oslet.formats import cpio
from oslet.model.tree import Entry, Tree
from oslet.store import Store

Packing: TypeAlias = Literal["gzip", "xz"]
"""Every kernel of ours unpacks ``gzip``; ``xz`` is a quarter smaller."""

_KINDS = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "link": stat.S_IFLNK}
MOST = 1 << 30


def whole(
    tree: Tree, store: Store, init: bytes, modules: Sequence[Path] = (), boot: bytes = b"", packing: Packing = "gzip"
) -> bytes:
    """The tree with init in it. Padded to four bytes, since another archive may follow (the kernel's
    Documentation/driver-api/early-userspace/buffer-format.rst). BuildError over 1 GiB, or where the tree has a file at
    init's place."""
    if tree.size > MOST:
        raise BuildError(f"an initramfs of {tree.size} bytes", where="root", hint="export it with --form disk")
    own = {member.path: member for member in members(init, modules, boot)}
    entries = {path: Entry(path, "dir", mode) for path, mode in MOUNTS.items()} | {e.path: e for e in tree.entries}
    for path in own:
        if (there := entries.get(path)) and there.kind != "dir":
            raise BuildError("the image has a file where a guest's init stands", where=path)
    laid = [_member(entry, store) for path, entry in sorted(entries.items()) if path != "/" and path not in own]
    made = _PACKERS[packing](cpio.pack([*own.values(), *laid]))
    return made + bytes(-len(made) % cpio.ALIGN)


def _member(entry: Entry, store: Store) -> cpio.Member:
    data = b"".join(content(entry, store)) if entry.kind == "file" else entry.target.encode()
    mode = 0o777 if entry.kind == "link" else entry.mode
    return cpio.Member(entry.path, _KINDS[entry.kind] | mode, data, entry.uid, entry.gid)


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=31)  # no time in it
    return packer.compress(data) + packer.flush()


def _xz(data: bytes) -> bytes:
    """As the kernel's decoder takes it (Documentation/staging/xz.rst): CRC-32, x86 code's jumps made absolute first."""
    import lzma

    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 9}]
    return lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)


_PACKERS: dict[Packing, Callable[[bytes], bytes]] = {"gzip": _gzip, "xz": _xz}
