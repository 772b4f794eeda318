"""ELF: what a program or library is for, what it is called and what it needs (elf(5), System V gABI chapters 4-5).

Reads the header, the program headers, the dynamic table and the notes, nothing else; every count and offset is bounded,
and what points outside the file is an IntegrityError.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from oslet.errors import IntegrityError

MAX_HEADERS = 512
MAX_DYNAMIC = 1 << 20
MAX_NEEDED = 4096
MAX_STRING = 4096
_LOAD, _DYNAMIC, _INTERP, _NOTE = 1, 2, 3, 4
_NEEDED, _STRTAB, _STRSZ, _SONAME, _RPATH, _RUNPATH = 1, 5, 10, 14, 15, 29
MAX_NOTES = 1 << 20
_DLOPEN = 0x407C0C0A
MACHINES = {3: "i386", 40: "arm", 62: "x86-64", 183: "aarch64", 243: "riscv", 21: "ppc64", 22: "s390"}


class Elf(NamedTuple):
    """One ELF file. ``kind`` is the gABI's e_type (2 executable, 3 shared); texts are empty where there are none.

    ``dlopen`` are the sonames that its .note.dlopen sections declare (https://systemd.io/ELF_DLOPEN_METADATA).
    """

    bits: int
    machine: str
    kind: int
    interpreter: str
    soname: str
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]
    dlopen: tuple[str, ...] = ()


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int


def read(stream: BinaryIO, *, where: str = "") -> Elf | None:
    """The ELF file in a seekable stream; None when it isn't one. Raises IntegrityError for a damaged one."""
    stream.seek(0)
    head = stream.read(64)
    if head[:4] != b"\x7fELF":
        return None
    if len(head) < 52 or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise IntegrityError("not a whole ELF header", where=where)
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    try:
        kind, machine = struct.unpack_from(f"{order}HH", head, 16)
        (start,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)
        entry_size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
        segments = _segments(stream, order, wide, start, entry_size, count)
        dynamic = next((s for s in segments if s.kind == _DYNAMIC), None)
        interp = next((s for s in segments if s.kind == _INTERP), None)
        interpreter = _string(_piece(stream, interp.offset, min(interp.size, MAX_STRING)), 0) if interp else ""
        texts = _dynamic(stream, order, wide, segments, dynamic) if dynamic else {}
        notes = tuple(_notes(stream, order, segments))
    except (struct.error, ValueError, OverflowError) as error:
        raise IntegrityError(f"a damaged ELF file: {error}", where=where) from None
    return Elf(
        bits=64 if wide else 32,
        machine=MACHINES.get(machine, str(machine)),
        kind=kind,
        interpreter=interpreter,
        soname=next(iter(texts.get(_SONAME, ())), ""),
        needed=tuple(texts.get(_NEEDED, ())),
        rpath=tuple(p for t in texts.get(_RPATH, ()) for p in t.split(":")),
        runpath=tuple(p for t in texts.get(_RUNPATH, ()) for p in t.split(":")),
        dlopen=tuple(dict.fromkeys(notes)),
    )


def _segments(stream: BinaryIO, order: str, wide: bool, start: int, size: int, count: int) -> list[_Segment]:
    if count > MAX_HEADERS or (count and size < (56 if wide else 32)):
        raise ValueError(f"{count} program headers of {size} bytes")
    raw = _piece(stream, start, size * count) if count else b""
    found = []
    for index in range(count):
        at = index * size
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(f"{order}IIQQQQ", raw, at)
        else:
            kind, offset, address, _, length = struct.unpack_from(f"{order}IIIII", raw, at)
        found.append(_Segment(kind, offset, address, length))
    return found


def _dynamic(
    stream: BinaryIO, order: str, wide: bool, segments: list[_Segment], dynamic: _Segment
) -> dict[int, list[str]]:
    raw = _piece(stream, dynamic.offset, min(dynamic.size, MAX_DYNAMIC))
    pair = struct.Struct(f"{order}{'qQ' if wide else 'iI'}")
    wanted: list[tuple[int, int]] = []
    table = length = 0
    for at in range(0, len(raw) - pair.size + 1, pair.size):
        tag, value = pair.unpack_from(raw, at)
        if tag == 0:
            break
        if tag == _STRTAB:
            table = value
        elif tag == _STRSZ:
            length = value
        elif tag in (_NEEDED, _SONAME, _RPATH, _RUNPATH):
            wanted.append((tag, value))
    if not wanted:
        return {}
    if len(wanted) > MAX_NEEDED:
        raise ValueError(f"{len(wanted)} dynamic names")
    home = next((s for s in segments if s.kind == _LOAD and s.address <= table < s.address + s.size), None)
    if home is None:
        raise ValueError("the string table is in no segment")
    offset = table - home.address + home.offset
    texts: dict[int, list[str]] = {}
    room = MAX_DYNAMIC  # many names may be one long text
    strings = _piece(stream, offset, length) if length <= MAX_DYNAMIC else b""
    for tag, value in wanted:
        if not 0 <= value < length:
            raise ValueError("a name outside the string table")
        text = _string(
            strings or _piece(stream, offset + value, min(MAX_STRING, length - value)), value if strings else 0
        )
        room -= len(text)
        if room < 0:
            raise ValueError(f"over {MAX_DYNAMIC} characters of dynamic names")
        texts.setdefault(tag, []).append(text)
    return texts


def _notes(stream: BinaryIO, order: str, segments: list[_Segment]) -> Iterator[str]:
    """The sonames of the dlopen notes: JSON in a note of the owner FDO. What doesn't read as one is passed over."""
    for segment in segments:
        if segment.kind != _NOTE or segment.size > MAX_NOTES:
            continue
        raw = _piece(stream, segment.offset, segment.size)
        at = 0
        while at + 12 <= len(raw):
            name, size, kind = struct.unpack_from(f"{order}III", raw, at)
            start = at + 12 + (name + 3 & ~3)
            if kind == _DLOPEN and raw[at + 12 : at + 12 + name] == b"FDO\0":
                yield from _sonames(raw[start : start + size].rstrip(b"\0"))
            at = start + (size + 3 & ~3)


def _sonames(note: bytes) -> Iterator[str]:
    import msgspec

    try:
        rows = msgspec.json.decode(note, type=list[dict[str, Any]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for row in rows[:MAX_NEEDED]:
        names = row.get("soname")
        yield from (n for n in (names if isinstance(names, list) else ()) if isinstance(n, str) and len(n) < MAX_STRING)


def _piece(stream: BinaryIO, offset: int, size: int) -> bytes:
    stream.seek(offset)
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("it ends early")
    return data


def _string(data: bytes, at: int) -> str:
    end = data.find(b"\0", at, at + MAX_STRING)
    if end < 0:
        raise ValueError("a text without an end")
    return data[at:end].decode("utf-8", "replace")  # no path of a tree is anything else than UTF-8
