"""oslet's record in an OCI config: what a tree knows that its layers don't say.

The reasons, the origins and the dropped paths of the ``Tree``, and the lock and plan, as base64 of xz of canonical
JSON. Digests and sizes of files are left out: they don't compress, and the layers give them back.
"""

from __future__ import annotations

import base64
import binascii
import lzma

from msgspec import Struct
from msgspec.structs import replace

from oslet.codec import canonical, decode
from oslet.errors import IntegrityError
from oslet.model.lock import Lock
from oslet.model.plan import Plan
from oslet.model.tree import Tree

MAX_PACKED = 3 << 20
MAX_RECORD = 32 << 20
"""Bytes of a record as text in the config (which may have 4 MiB), and unpacked."""


class Record(Struct, frozen=True):
    """``tree`` lacks files' digests and sizes when packed; ``rendered`` counts the last layers, which are no part
    of it."""

    tree: Tree
    rendered: int
    lock: Lock
    plan: Plan


def pack(record: Record) -> str:
    """The record as text; empty when it would be more than a config may hold (such an image can't be pulled)."""
    bare = tuple(replace(entry, digest="", size=0) for entry in record.tree.entries)
    packed = lzma.compress(canonical(replace(record, tree=replace(record.tree, entries=bare))), preset=6)
    text = base64.b64encode(packed).decode()
    return text if len(text) <= MAX_PACKED else ""


def unpack(text: str, *, where: str) -> Record:
    """The record that ``pack`` wrote, digests and sizes still missing; IntegrityError if the text is none."""
    try:
        reader = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=256 << 20)
        data = reader.decompress(base64.b64decode(text, validate=True), max_length=MAX_RECORD)
    except (lzma.LZMAError, binascii.Error, ValueError, EOFError, MemoryError) as error:
        raise IntegrityError(f"oslet's record can't be unpacked: {error}", where=where) from None
    if not reader.eof:
        raise IntegrityError(f"oslet's record is cut short or unpacks to over {MAX_RECORD} bytes", where=where)
    return decode(data, Record, where=where)
