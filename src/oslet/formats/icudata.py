"""ICU's data package ("CmnD", version 1): a header, a table of contents, and items (ICU, common/ucmndata.h, udata.h).

Every item starts with a header of its own. The table holds, for each, the offset of its name and of its data, both from
the table's start, in the order of the names, which ICU searches by halves; an item ends where the next starts. Only
packages of little-endian machines are read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

from oslet.errors import IntegrityError

MAX_ITEMS = 50_000
MAX_NAME = 200
ALIGNMENT = 16
_ENTRY = struct.Struct("<II")
_FILL = b"\xaa"
"""What ICU's own tools put where nothing stands."""
_STATIC_MAX_BYTES = 71
"""Where a converter's static data says how many bytes its longest character has (ICU, common/ucnv_bld.h)."""


class Item(NamedTuple):
    """One item: its name without the package's (``coll/en.res``), and its bytes with their header."""

    name: str
    data: bytes


class Package(NamedTuple):
    """A package: its header as it stands, the name that all items' names start with (``icudt76l``), and the items."""

    head: bytes
    name: str
    items: tuple[Item, ...]


def header(data: bytes, kind: bytes, *, where: str = "") -> tuple[int, int]:
    """Bytes of the header that ``data`` starts with, and its format's version. Raises IntegrityError unless it is of
    the four letters ``kind``, little endian and ASCII."""
    if len(data) < 24 or data[2:4] != b"\xda\x27" or data[12:16] != kind or data[8:11] != b"\0\0\2":
        raise IntegrityError(f"not ICU data of the kind {kind.decode()}", where=where)
    size: int = struct.unpack_from("<H", data)[0]
    if not 24 <= size <= len(data):
        raise IntegrityError("ICU data that ends in its header", where=where)
    return size, data[16]


def read(data: bytes, *, where: str = "") -> Package:
    """The package that ``data`` starts with. Raises IntegrityError for anything else."""
    base, version = header(data, b"CmnD", where=where)
    if version != 1 or len(data) < base + 4:
        raise IntegrityError("not an ICU package of version 1", where=where)
    (count,) = struct.unpack_from("<I", data, base)
    if not 0 < count <= MAX_ITEMS or base + 4 + count * _ENTRY.size > len(data):
        raise IntegrityError(f"an ICU package of {count} items", where=where)
    rows = [_ENTRY.unpack_from(data, base + 4 + n * _ENTRY.size) for n in range(count)]
    names = [_name(data, base + name, where) for name, _ in rows]
    starts = [base + start for _, start in rows] + [len(data)]
    if names != sorted(set(names)) or starts != sorted(starts) or starts[0] < base + 4 + count * _ENTRY.size:
        raise IntegrityError("an ICU package whose table is out of order", where=where)
    prefix = names[0].partition("/")[0]
    if not all(name.startswith(f"{prefix}/") for name in names):
        raise IntegrityError("an ICU package of more than one name", where=where)
    items = (Item(n.partition("/")[2], data[a:b]) for n, a, b in zip(names, starts, starts[1:]))
    return Package(data[:base], prefix, tuple(items))


def write(package: Package) -> bytes:
    """The package's bytes; its items come in the order of their names, whichever order they are given in."""
    items = sorted(package.items)
    names = [f"{package.name}/{item.name}".encode() + b"\0" for item in items]
    at = 4 + len(items) * _ENTRY.size
    places = []
    for name in names:
        places.append(at)
        at += len(name)
    # Aligned as data stands in memory, where the header comes before the table.
    at += -(len(package.head) + at) % ALIGNMENT
    table, body = [struct.pack("<I", len(items))], []
    for place, item in zip(places, items):
        table.append(_ENTRY.pack(place, at))
        body.append(item.data + _FILL * (-len(item.data) % ALIGNMENT))
        at += len(body[-1])
    front = package.head + b"".join(table) + b"".join(names)
    return front + _FILL * (-len(front) % ALIGNMENT) + b"".join(body)


def bytes_per_character(converter: bytes, *, where: str = "") -> int:
    """The longest character of a converter (``.cnv``), in bytes."""
    base, _ = header(converter, b"cnvt", where=where)
    if base + _STATIC_MAX_BYTES >= len(converter):
        raise IntegrityError("a converter that ends early", where=where)
    return converter[base + _STATIC_MAX_BYTES]


def total(items: Iterable[Item]) -> int:
    """Bytes of some items."""
    return sum(len(item.data) for item in items)


def _name(data: bytes, at: int, where: str) -> str:
    end = data.find(b"\0", at, at + MAX_NAME)
    text = data[at:end] if end >= 0 else b""
    if not text.isascii() or b"/" not in text:
        raise IntegrityError("an ICU package with a name that isn't one", where=where)
    return text.decode("ascii")
