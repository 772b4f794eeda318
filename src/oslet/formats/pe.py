"""A PE file with more sections: how systemd's EFI stub becomes a unified kernel image.

Sources: Microsoft's "PE Format"; the UAPI Group's "Unified Kernel Image" specification. Only PE32+ as the stub is one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from oslet.errors import IntegrityError

_COFF = struct.Struct("<HHIIIHH")
_SECTION = struct.Struct("<8sIIIIIIHHI")
_DATA = 0x4000_0040
"""IMAGE_SCN_CNT_INITIALIZED_DATA, IMAGE_SCN_MEM_READ."""
_PE32_PLUS = 0x20B
_MOST = 96
"""Sections that Windows' loader, and so EFI's, takes."""


def with_sections(stub: bytes, added: Mapping[str, bytes], *, where: str) -> bytes:
    """The stub with sections behind its own, in their order. IntegrityError if it is no PE32+ or has no room for their
    headers. What else a section could move (symbols, a signature) the stub must not have: both are refused."""
    try:
        at = struct.unpack_from("<I", stub, 0x3C)[0]
        _, count, _, symbols, _, optional, _ = _COFF.unpack_from(stub, at + 4)
        begin = at + 4 + _COFF.size
        (kind,) = struct.unpack_from("<H", stub, begin)
        align, file_align = struct.unpack_from("<II", stub, begin + 32)
        (headers,) = struct.unpack_from("<I", stub, begin + 60)
        signature = struct.unpack_from("<II", stub, begin + 112 + 4 * 8)
        table = begin + optional
        sections = [_SECTION.unpack_from(stub, table + n * _SECTION.size) for n in range(min(count, _MOST))]
    except struct.error:
        raise IntegrityError("not a PE file", where=where) from None
    if stub[:2] != b"MZ" or stub[at : at + 4] != b"PE\0\0" or kind != _PE32_PLUS or not (align and file_align):
        raise IntegrityError("not a PE32+ file", where=where)
    if symbols or any(signature) or count + len(added) > _MOST or not sections:
        raise IntegrityError("a PE file that can't be added to", where=where)
    end = table + (count + len(added)) * _SECTION.size
    if end > headers or any(stub[table + count * _SECTION.size : end]):
        raise IntegrityError("no room for more section headers", where=where)
    made = bytearray(stub)
    made += bytes(-len(made) % file_align)
    address = max(_up(virtual + size, align) for _, size, virtual, *_ in sections)
    for number, (name, data) in enumerate(added.items(), count):
        header = (name.encode().ljust(8, b"\0"), len(data), address, _up(len(data), file_align), len(made))
        if len(header[0]) > 8:
            raise IntegrityError(f"a section's name over 8 bytes: {name}", where=where)
        _SECTION.pack_into(made, table + number * _SECTION.size, *header, 0, 0, 0, 0, _DATA)
        made += data + bytes(-len(data) % file_align)
        address = _up(address + max(len(data), 1), align)
    struct.pack_into("<H", made, at + 6, count + len(added))
    struct.pack_into("<I", made, begin + 56, address)
    struct.pack_into("<I", made, begin + 64, 0)  # a checksum that EFI ignores
    return bytes(made)


def _up(number: int, to: int) -> int:
    return -(-number // to) * to
