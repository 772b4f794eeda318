"""One initramfs that is a whole machine's root, for monitors and boot loaders that know of no disks.

It is unpacked into memory, so a guest needs room for all of it, twice while it boots.
"""

from __future__ import annotations

import stat
import zlib
from collections.abc import Sequence
from pathlib import Path

from oslet.build.layers import content
from oslet.build.machine.erofs import MOUNTS
from oslet.build.machine.initramfs import members
from oslet.errors import BuildError
from oslet.formats import cpio
from oslet.model.tree import Entry, Tree
from oslet.store import Store

_KINDS = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "link": stat.S_IFLNK}
MOST = 1 << 30


def whole(tree: Tree, store: Store, init: bytes, modules: Sequence[Path] = (), boot: bytes = b"") -> bytes:
    """The tree with init in it, as gzip (RFC 1952), which every kernel of ours unpacks. BuildError over 1 GiB, or where
    the tree has a file at init's place."""
    if tree.size > MOST:
        raise BuildError(f"an initramfs of {tree.size} bytes", where="root", hint="export it with --form disk")
    own = {member.path: member for member in members(init, modules, boot)}
    entries = {path: Entry(path, "dir", mode) for path, mode in MOUNTS.items()} | {e.path: e for e in tree.entries}
    for path in own:
        if (there := entries.get(path)) and there.kind != "dir":
            raise BuildError("the image has a file where a guest's init stands", where=path)
    laid = [_member(entry, store) for path, entry in sorted(entries.items()) if path != "/" and path not in own]
    return _gzip(cpio.pack([*own.values(), *laid]))


def _member(entry: Entry, store: Store) -> cpio.Member:
    data = b"".join(content(entry, store)) if entry.kind == "file" else entry.target.encode()
    mode = 0o777 if entry.kind == "link" else entry.mode
    return cpio.Member(entry.path, _KINDS[entry.kind] | mode, data, entry.uid, entry.gid)


def _gzip(data: bytes) -> bytes:
    """Without a time, and padded to four bytes, since another archive may follow (the kernel's
    Documentation/driver-api/early-userspace/buffer-format.rst)."""
    packer = zlib.compressobj(9, wbits=31)
    made = packer.compress(data) + packer.flush()
    return made + bytes(-len(made) % cpio.ALIGN)
