"""ld.so.cache in glibc's new format (``glibc-ld.so.cache1.1``; glibc, sysdeps/generic/dl-cache.h).

A header of 48 bytes, entries of 24 bytes, then the strings and, aligned to 4, an extension directory with the
generator's name. Entries stand in descending order of glibc's own comparison, since ld.so searches them by halves.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from typing import NamedTuple

from oslet.errors import IntegrityError

MAGIC = b"glibc-ld.so.cache1.1"
LIBC6 = 0x0003
FLAGS = {"x86-64": LIBC6 | 0x0300, "aarch64": LIBC6 | 0x0A00, "i386": LIBC6}
"""The flags of an entry, by machine."""
_HEADER = struct.Struct("<20sIIB3xI12x")
_ENTRY = struct.Struct("<iIIIQ")
_EXTENSION_MAGIC = 0xEAA42174
_GENERATOR = b"oslet"
_LITTLE_ENDIAN = 2
MAX_ENTRIES = 100_000
MAX_TEXT = 4096
MAX_TEXTS = 16 << 20
"""Entries that are read, bytes of a name or path, and of all: many entries may point to one long text."""


class Library(NamedTuple):
    """One entry: the name that programs ask for, the path it is found at, and its machine's flags."""

    name: str
    path: str
    flags: int


def order(name: str) -> tuple[tuple[int, int], ...]:
    """A key that sorts as glibc's ``_dl_cache_libcmp``: digits compare as numbers and come after other characters."""
    key = []
    for digits, char in re.findall(r"(\d+)|(\D)", name):
        key.append((1, int(digits)) if digits else (0, ord(char)))
    return tuple(key)


def write(libraries: Iterable[Library]) -> bytes:
    """The cache's bytes; the same libraries give the same bytes in any order."""
    rows = sorted(set(libraries), key=lambda lib: lib.path)
    rows.sort(key=lambda lib: (order(lib.name), lib.flags), reverse=True)
    strings = bytearray()
    places: dict[str, int] = {}
    base = _HEADER.size + _ENTRY.size * len(rows)
    for lib in rows:
        for text in (lib.name, lib.path):
            if text not in places:
                places[text] = base + len(strings)
                strings += text.encode() + b"\0"
    entries = b"".join(_ENTRY.pack(lib.flags, places[lib.name], places[lib.path], 0, 0) for lib in rows)
    end = base + len(strings)
    padding = -end % 4
    extension = end + padding
    tail = struct.pack("<IIIIII", _EXTENSION_MAGIC, 1, 0, 0, extension + 24, len(_GENERATOR)) + _GENERATOR
    head = _HEADER.pack(MAGIC, len(rows), len(strings), _LITTLE_ENDIAN, extension)
    return head + entries + bytes(strings) + b"\0" * padding + tail


def read(data: bytes, *, where: str = "") -> tuple[Library, ...]:
    """The entries of a cache, in file order. Raises IntegrityError for anything else."""
    try:
        magic, count, length, _, _ = _HEADER.unpack_from(data)
        if magic != MAGIC or _HEADER.size + count * _ENTRY.size + length > len(data):
            raise ValueError("not a cache in glibc's new format, or not a whole one")
        if count > MAX_ENTRIES:
            raise ValueError(f"{count} entries")
        found = []
        room = MAX_TEXTS
        for index in range(count):
            flags, key, value, _, _ = _ENTRY.unpack_from(data, _HEADER.size + index * _ENTRY.size)
            found.append(Library(_text(data, key), _text(data, value), flags))
            room -= len(found[-1].name) + len(found[-1].path)
            if room < 0:
                raise ValueError(f"over {MAX_TEXTS} characters of names")
    except (struct.error, ValueError) as error:
        raise IntegrityError(f"a damaged ld.so.cache: {error}", where=where) from None
    return tuple(found)


def _text(data: bytes, at: int) -> str:
    end = data.index(b"\0", at, at + MAX_TEXT)
    return data[at:end].decode()
