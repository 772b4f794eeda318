"""A shared library that holds one constant and nothing else, as ICU's data is shipped: read, and written small.

What is written: the ELF header, four program headers, one symbol in both kinds of hash table (System V gABI chapter 5;
GNU's as in glibc's elf/dl-lookup.c), the constant, and a dynamic table that has its own page in memory, since loaders
before glibc 2.35 write to it. No code, no relocations, no section headers.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from oslet.errors import IntegrityError

MAX_CHAIN = 1 << 16
ALIGNMENT = 64
"""Of the constant, in memory as in the file; ICU asks for 16."""
MAX_TAGS = 4096
_LOAD, _DYNAMIC, _GNU_STACK = 1, 2, 0x6474E551
_HASH, _STRTAB, _SYMTAB, _STRSZ, _SYMENT, _SONAME, _GNU_HASH, _VERSYM = 4, 5, 6, 10, 11, 14, 0x6FFFFEF5, 0x6FFFFFF0
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_GLOBAL_OBJECT = 1 << 4 | 1
_PAGE = {"x86-64": 0x1000, "aarch64": 0x10000}
"""The largest page that a machine's kernels may use; what linkers align to by default."""
_NUMBER = {"x86-64": 62, "aarch64": 183}
_READ, _READ_WRITE = 4, 6
_ABSOLUTE = 0xFFF1


class DataLibrary(NamedTuple):
    """The machine as ``formats.elf`` names it, what the library calls itself, the constant's name and its bytes."""

    machine: str
    soname: str
    symbol: str
    data: bytes


class _Segment(NamedTuple):
    offset: int
    address: int
    size: int


def read(data: bytes, soname: str, symbol: str, *, where: str = "") -> DataLibrary:
    """The constant ``symbol`` of a 64-bit little-endian library, found as the loader finds it.

    Raises IntegrityError for anything else, and for symbols with versions, which ``write`` wouldn't carry over.
    """
    try:
        return _read(data, soname, symbol)
    except (struct.error, ValueError, OverflowError) as error:
        raise IntegrityError(f"not a library of one constant: {error}", where=where) from None


def _read(data: bytes, soname: str, symbol: str) -> DataLibrary:
    if data[:7] != b"\x7fELF\x02\x01\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    (number,) = struct.unpack_from("<H", data, 18)
    machine = next((name for name, each in _NUMBER.items() if each == number), None)
    if machine is None:
        raise ValueError(f"machine {number}")
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    if size != _PROGRAM.size or count > 512:
        raise ValueError(f"{count} program headers of {size} bytes")
    rows = [_PROGRAM.unpack_from(data, start + n * size) for n in range(count)]
    loads = [_Segment(row[2], row[3], row[5]) for row in rows if row[0] == _LOAD]
    tags = _tags(data, next((row[2] for row in rows if row[0] == _DYNAMIC), len(data)))
    if _VERSYM in tags:
        raise ValueError("its symbols have versions")
    if not {_GNU_HASH, _SYMTAB, _STRTAB} <= tags.keys():
        raise ValueError("it lacks a table")
    symbols, strings = _place(loads, tags[_SYMTAB]), _place(loads, tags[_STRTAB])
    wanted = symbol.encode() + b"\0"
    for index in _candidates(data, _place(loads, tags[_GNU_HASH]), symbol):
        name, info, _, section, value, length = _SYMBOL.unpack_from(data, symbols + index * _SYMBOL.size)
        if data[strings + name : strings + name + len(wanted)] == wanted and info == _GLOBAL_OBJECT:
            at = _place(loads, value)
            if section in (0, _ABSOLUTE) or at + length > len(data):
                raise ValueError(f"{symbol} lies outside the file")
            return DataLibrary(machine, soname, symbol, data[at : at + length])
    raise ValueError(f"it has no {symbol}")


def _tags(data: bytes, at: int) -> dict[int, int]:
    found: dict[int, int] = {}
    for n in range(MAX_TAGS):
        tag, value = struct.unpack_from("<QQ", data, at + 16 * n)
        if tag == 0:
            return found
        found.setdefault(tag, value)
    raise ValueError("a dynamic table without an end")


def _place(loads: list[_Segment], address: int) -> int:
    """The file's offset of an address."""
    for each in loads:
        if each.address <= address < each.address + each.size:
            return address - each.address + each.offset
    raise ValueError("an address in no segment")


def _candidates(data: bytes, at: int, symbol: str) -> list[int]:
    """Indexes of the symbols whose hash is that of ``symbol``."""
    buckets, first, bloom, _ = struct.unpack_from("<IIII", data, at)
    if not 0 < buckets <= MAX_CHAIN or bloom > MAX_CHAIN:
        raise ValueError("a hash table of that size")
    table = at + 16 + 8 * bloom
    wanted = _gnu_hash(symbol)
    (index,) = struct.unpack_from("<I", data, table + 4 * (wanted % buckets))
    found: list[int] = []
    for n in range(index, index + MAX_CHAIN if index >= first else 0):
        (value,) = struct.unpack_from("<I", data, table + 4 * buckets + 4 * (n - first))
        if value | 1 == wanted | 1:
            found.append(n)
        if value & 1:
            break
    return found


def write(library: DataLibrary) -> bytes:
    """The library's bytes. Raises KeyError for a machine other than x86-64 and aarch64."""
    page = _PAGE[library.machine]
    strings = b"\0" + library.symbol.encode() + b"\0" + library.soname.encode() + b"\0"
    hashes = struct.pack("<5I", 1, 2, 1, 0, 0)  # one bucket, holding symbol 1
    wanted = _gnu_hash(library.symbol)
    bloom = 1 << (wanted % 64) | 1 << ((wanted >> 6) % 64)
    gnu = struct.pack("<4IQII", 1, 1, 1, 6, bloom, 1, wanted | 1)
    at_gnu = 64 + 4 * _PROGRAM.size
    at_symbols = at_gnu + len(gnu)
    at_hashes = at_symbols + 2 * _SYMBOL.size
    at_strings = at_hashes + len(hashes)
    at_data = _up(at_strings + len(strings), ALIGNMENT)
    end = at_data + len(library.data)
    at_dynamic = _up(end, 8)
    place = at_dynamic + page
    symbols = bytes(_SYMBOL.size) + _SYMBOL.pack(1, _GLOBAL_OBJECT, 0, 1, at_data, len(library.data))
    tags = (
        (_SONAME, 2 + len(library.symbol.encode())), (_HASH, at_hashes), (_GNU_HASH, at_gnu), (_STRTAB, at_strings),
        (_SYMTAB, at_symbols), (_STRSZ, len(strings)), (_SYMENT, _SYMBOL.size), (0, 0),
    )  # fmt: skip
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    programs = (
        _PROGRAM.pack(_LOAD, _READ, 0, 0, 0, end, end, page)
        + _PROGRAM.pack(_LOAD, _READ_WRITE, at_dynamic, place, place, len(dynamic), len(dynamic), page)
        + _PROGRAM.pack(_DYNAMIC, _READ_WRITE, at_dynamic, place, place, len(dynamic), len(dynamic), 8)
        + _PROGRAM.pack(_GNU_STACK, _READ_WRITE, 0, 0, 0, 0, 0, 16)
    )
    front = _header(library.machine) + programs + gnu + symbols + hashes + strings
    whole = front + bytes(at_data - len(front)) + library.data
    return whole + bytes(at_dynamic - len(whole)) + dynamic


def _header(machine: str) -> bytes:
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    return ident + struct.pack("<HHIQQQIHHHHHH", 3, _NUMBER[machine], 1, 0, 64, 0, 0, 64, _PROGRAM.size, 4, 64, 0, 0)


def _gnu_hash(name: str) -> int:
    value = 5381
    for byte in name.encode():
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value


def _up(at: int, page: int) -> int:
    return at + -at % page
