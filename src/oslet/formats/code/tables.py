"""What an ELF file's tables say of its code: where it is, what it is called, and what it gets from other files.

elf(5), System V gABI chapters 4 and 5, and the x86-64 and AArch64 supplements for relocations; functions stand in
``.eh_frame_hdr`` (LSB core, 10.6.2), which stripped files have too. Section headers aren't needed. 64-bit,
little-endian; every offset is bounded, and what points outside the file is an IntegrityError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from oslet.errors import IntegrityError

MACHINES = {62: "x86_64", 183: "aarch64"}
MAX_SYMBOLS = 1 << 19
MAX_RELOCATIONS = 1 << 21
_LOAD, _DYNAMIC, _EH_FRAME = 1, 2, 0x6474E550
_PLTRELSZ, _HASH, _STRTAB, _SYMTAB, _RELA, _RELASZ, _STRSZ, _SONAME, _JMPREL = 2, 4, 5, 6, 7, 8, 10, 14, 23
_INIT, _FINI, _RELRSZ, _RELR, _GNU_HASH = 12, 13, 35, 36, 0x6FFFFEF5
_RELATIVE = {"x86_64": (8, 37), "aarch64": (1027, 1032)}
"""R_*_RELATIVE and R_*_IRELATIVE: an address of this file, in the addend."""
_NAMED = {"x86_64": (1, 6, 7), "aarch64": (257, 1025, 1026)}
"""R_*_64 (ABS64), GLOB_DAT and JUMP_SLOT: a symbol's address."""


class Segment(NamedTuple):
    """Bytes of the file that are mapped at ``address``."""

    address: int
    data: bytes
    runs: bool


class Tables(NamedTuple):
    """``exports`` are the addresses of defined functions by name, ``imports`` the names that other files define.

    ``slots`` are the cells that hold an imported or exported symbol's address, ``pointers`` those that hold an address
    of this file; ``starts`` are the functions' first addresses, sorted, and ``begins`` where the linker
    begins, ``ends`` where the last function ends (0 where that isn't told),
    ``frame`` where their table is.
    """

    machine: str
    soname: str
    segments: tuple[Segment, ...]
    exports: dict[str, int]
    imports: frozenset[str]
    slots: dict[int, str]
    pointers: dict[int, int]
    starts: tuple[int, ...]
    begins: tuple[int, ...]
    ends: int
    frame: int


def read(data: bytes, *, where: str = "") -> Tables | None:
    """The tables of an ELF file; None for what is no 64-bit one of a known machine. IntegrityError for a bad one."""
    if data[:4] != b"\x7fELF" or data[4:6] != b"\x02\x01":
        return None
    try:
        machine = MACHINES.get(struct.unpack_from("<H", data, 18)[0])
        return _read(data, machine) if machine else None
    except (struct.error, ValueError, OverflowError) as error:
        raise IntegrityError(f"a damaged ELF file: {error}", where=where) from None


def _read(data: bytes, machine: str) -> Tables:
    entry, start = struct.unpack_from("<QQ", data, 24)
    size, count = struct.unpack_from("<HH", data, 54)
    if count > 512 or (count and size < 56):
        raise ValueError(f"{count} program headers of {size} bytes")
    segments, frame, dynamic = [], 0, b""
    room = 2 * len(data)
    for index in range(count):
        kind, flags, offset, address, _, length = struct.unpack_from("<IIQQQQ", data, start + index * size)
        if kind == _LOAD:
            room -= min(length, len(data))
            if room < 0:
                raise ValueError("segments that overlap")
            segments.append(Segment(address, data[offset : offset + length], bool(flags & 1)))
        elif kind == _DYNAMIC:
            dynamic = data[offset : offset + min(length, 1 << 20)]
        elif kind == _EH_FRAME:
            frame = address
    view = _View(tuple(segments))
    pairs = list(struct.iter_unpack("<qQ", dynamic[: len(dynamic) // 16 * 16]))
    tags = dict(reversed(pairs[: next((i for i, (t, _) in enumerate(pairs) if t == 0), len(pairs))]))
    slots, pointers = _relocations(view, tags, machine)
    names, exports, imports = _symbols(view, tags, max(slots.values(), default=0))
    return Tables(
        machine=machine,
        soname=view.text(tags[_STRTAB] + tags[_SONAME]) if _SONAME in tags and _STRTAB in tags else "",
        segments=tuple(segments),
        exports=exports,
        imports=imports,
        slots={at: names[index] for at, index in slots.items() if names.get(index)},
        pointers=pointers,
        starts=tuple(sorted({*(first for first, _ in _rows(view, frame)), *exports.values()})),
        ends=_ends(view, frame),
        frame=frame,
        begins=tuple(a for a in (entry, tags.get(_INIT, 0), tags.get(_FINI, 0)) if a),
    )


class _View:
    """The file as it is mapped."""

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self.segments = segments

    def piece(self, address: int, size: int) -> bytes:
        for s in self.segments:
            if s.address <= address and address + size <= s.address + len(s.data):
                return s.data[address - s.address : address - s.address + size]
        raise ValueError(f"{size} bytes at {address:#x} are in no segment")

    def text(self, address: int) -> str:
        for s in self.segments:
            if s.address <= address < s.address + len(s.data):
                at = address - s.address
                end = s.data.find(b"\0", at, at + 4096)
                if end >= 0:
                    return s.data[at:end].decode("utf-8", "replace")
        raise ValueError("a text without an end")


def _relocations(view: _View, tags: dict[int, int], machine: str) -> tuple[dict[int, int], dict[int, int]]:
    """Cell → number of its symbol, and cell → address of this file that it holds."""
    slots: dict[int, int] = {}
    pointers: dict[int, int] = {}
    for table, length in ((_RELA, _RELASZ), (_JMPREL, _PLTRELSZ)):
        if table not in tags or not tags.get(length):
            continue
        if tags[length] > MAX_RELOCATIONS * 24:
            raise ValueError("too many relocations")
        for at, info, addend in struct.iter_unpack("<QQq", view.piece(tags[table], tags[length] // 24 * 24)):
            kind = info & 0xFFFFFFFF
            if kind in _RELATIVE[machine]:
                pointers[at] = addend
            elif kind in _NAMED[machine]:
                slots[at] = info >> 32
    if _RELR in tags and tags.get(_RELRSZ):
        for at in _relr(view.piece(tags[_RELR], min(tags[_RELRSZ], MAX_RELOCATIONS) // 8 * 8)):
            pointers[at] = int.from_bytes(view.piece(at, 8), "little")
    return slots, pointers


def _relr(raw: bytes) -> Iterator[int]:
    """The cells that packed relative relocations mean: an address, then bits for the words after it (SHT_RELR)."""
    base = 0
    for (word,) in struct.iter_unpack("<Q", raw):
        if word & 1 == 0:
            yield word
            base = word + 8
        else:
            yield from (base + 8 * bit for bit in range(63) if word >> (bit + 1) & 1)
            base += 8 * 63


def _symbols(view: _View, tags: dict[int, int], most: int) -> tuple[dict[int, str], dict[str, int], frozenset[str]]:
    if _SYMTAB not in tags or _STRTAB not in tags:
        return {}, {}, frozenset()
    count = max(_count(view, tags), most + 1)
    if count > MAX_SYMBOLS:
        raise ValueError(f"{count} symbols")
    strings = view.piece(tags[_STRTAB], tags.get(_STRSZ, 0))
    names: dict[int, str] = {}
    exports: dict[str, int] = {}
    imports = set()
    for index, row in enumerate(struct.iter_unpack("<IBBHQQ", view.piece(tags[_SYMTAB], count * 24))):
        name, info, _, section, value, _ = row
        end = strings.find(b"\0", name, name + 4096)
        if not name or end < 0:
            continue
        text = names[index] = strings[name:end].decode("utf-8", "replace")
        if section == 0:
            imports.add(text)
        elif info & 15 in (2, 10):  # STT_FUNC, STT_GNU_IFUNC
            exports[text] = value
    return names, exports, frozenset(imports)


def _count(view: _View, tags: dict[int, int]) -> int:
    """How many dynamic symbols there are, which only their hash tables tell."""
    if _HASH in tags:
        return int.from_bytes(view.piece(tags[_HASH] + 4, 4), "little")
    if _GNU_HASH not in tags:
        return 0
    table = tags[_GNU_HASH]
    buckets, first, bloom, _ = struct.unpack("<IIII", view.piece(table, 16))
    if buckets > MAX_SYMBOLS or bloom > MAX_SYMBOLS:
        raise ValueError("too many symbols")
    at = table + 16 + bloom * 8
    last = max((i for (i,) in struct.iter_unpack("<I", view.piece(at, buckets * 4))), default=0)
    if last < first:
        return int(first)
    chain = at + buckets * 4
    while last < MAX_SYMBOLS and not int.from_bytes(view.piece(chain + (last - first) * 4, 4), "little") & 1:
        last += 1
    return last + 1


def _ends(view: _View, frame: int) -> int:
    """The end of the function with the highest address: its entry of ``.eh_frame`` has its length after its address."""
    if not (rows := list(_rows(view, frame))):
        return 0
    first, entry = rows[-1]
    return first + int.from_bytes(view.piece(entry + 12, 4), "little")


def _rows(view: _View, frame: int) -> Iterator[tuple[int, int]]:
    """``.eh_frame_hdr``'s sorted table: functions' first addresses and entries, in the encoding of all linkers."""
    if not frame:
        return
    version, pointer, counted, table = view.piece(frame, 4)
    if (version, counted, table) != (1, 0x03, 0x3B) or pointer & 15 not in (0x0B, 0x03):
        return
    count = int.from_bytes(view.piece(frame + 8, 4), "little")
    if count > MAX_SYMBOLS:
        raise ValueError(f"{count} functions")
    for first, entry in struct.iter_unpack("<ii", view.piece(frame + 12, count * 8)):
        yield (frame + first) & 0xFFFFFFFFFFFFFFFF, (frame + entry) & 0xFFFFFFFFFFFFFFFF
