"""ISO 9660 images of a few files in one folder (ECMA-119), with their names by Rock Ridge (IEEE P1282): what clouds
and cloud-init call a NoCloud disk. The same files make the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from oslet.errors import DeclarationError, IntegrityError

SECTOR = 2048
MAX_IMAGE = 64 << 20
MAX_FOLDER = 1 << 20
_FIRST = 16
_ROOT, _BODY = 20, 21
"""Sectors: the descriptors are 16 and 17, the path tables 18 and 19, then the root folder, then files."""
_WHEN = bytes((70, 1, 1, 0, 0, 0, 0))
"""1970-01-01, in seven bytes (9.1.5); the descriptor's own dates say that nobody said (8.4.26.1)."""
_NEVER = b"0" * 16 + b"\0"
_FOLDER = 2


def write(files: Mapping[str, bytes], label: str) -> bytes:
    """An image that is called ``label``, with ``files`` in its root. DeclarationError for names that can't be."""
    at, bodies = _BODY, list[bytes]()
    rows: list[bytes] = []
    for name, data in sorted(files.items()):
        if not name or len(name) > 100 or "/" in name or not (name.isascii() and name.isprintable()):
            raise DeclarationError(f"{name!r} is no name for a file", where="ISO 9660")
        rows.append(_record(_plain(name, len(rows)), at, len(data), 0, _named(name, 0o100600)))
        bodies.append(_padded(data))
        at += len(bodies[-1]) // SECTOR
    own = _record(b"\0", _ROOT, SECTOR, _FOLDER, b"SP\7\1\xbe\xef\0" + _mode(0o40755) + _extension())
    folder = own + _record(b"\1", _ROOT, SECTOR, _FOLDER, _mode(0o40755)) + b"".join(rows)
    if len(folder) > SECTOR:
        raise DeclarationError(f"{len(files)} files are too many for one folder's sector", where="ISO 9660")
    path = struct.pack("<BBIHBx", 1, 0, _ROOT, 1, 0), struct.pack(">BBIHBx", 1, 0, _ROOT, 1, 0)
    head = [bytes(_FIRST * SECTOR), _descriptor(label, at, len(path[0])), _padded(b"\xffCD001\1")]
    return b"".join([*head, *map(_padded, path), _padded(folder), *bodies])


def _descriptor(label: str, sectors: int, table: int) -> bytes:
    """The primary volume descriptor (8.4)."""
    return _padded(
        b"\1CD001\1\0"
        + b" " * 32
        + label.encode("ascii").ljust(32)[:32]
        + bytes(8)
        + _both32(sectors)
        + bytes(32)
        + _both16(1)
        + _both16(1)
        + _both16(SECTOR)
        + _both32(table)
        + struct.pack("<II", 18, 0)
        + struct.pack(">II", 19, 0)
        + _record(b"\0", _ROOT, SECTOR, _FOLDER, b"")
        + b" " * (128 * 4 + 37 * 3)
        + _NEVER * 4
        + b"\1"
    )


def _record(name: bytes, at: int, size: int, flags: int, more: bytes) -> bytes:
    """One directory record (9.1), of an even length."""
    plain = name + bytes(1 - len(name) % 2)
    body = b"\0" + _both32(at) + _both32(size) + _WHEN + bytes((flags, 0, 0)) + _both16(1) + bytes((len(name),)) + plain
    body += more
    body += bytes((len(body) + 1) % 2)
    return bytes((len(body) + 1,)) + body


def _plain(name: str, number: int) -> bytes:
    """The name that ISO 9660 itself can have: eight letters and three (7.5), made different by its number."""
    stem, _, ending = name.upper().replace("-", "_").partition(".")
    kept = ["".join(c for c in part if c.isalnum() or c == "_") for part in (stem, ending)]
    return f"{kept[0][:7]}{number}.{kept[1][:3]};1".encode()


def _named(name: str, mode: int) -> bytes:
    return _mode(mode) + b"NM" + bytes((len(name) + 5, 1, 0)) + name.encode()


def _mode(mode: int) -> bytes:
    """Rock Ridge's PX: mode, links, owner and group, which are root."""
    return b"PX\x24\1" + b"".join(map(_both32, (mode, 1, 0, 0)))


def _extension() -> bytes:
    """SUSP's ER: that names and modes are Rock Ridge's."""
    name = b"RRIP_1991A"
    return b"ER" + bytes((8 + len(name), 1, len(name), 0, 0, 1)) + name


def _both16(value: int) -> bytes:
    return struct.pack("<H", value) + struct.pack(">H", value)


def _both32(value: int) -> bytes:
    return struct.pack("<I", value) + struct.pack(">I", value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % SECTOR)


def begins(data: bytes) -> bool:
    """Whether an image of this kind begins so; 34 KiB are enough to know."""
    return data[_FIRST * SECTOR + 1 : _FIRST * SECTOR + 6] == b"CD001"


def read(data: bytes, *, where: str = "") -> dict[str, bytes]:
    """The files in the root folder by name, Rock Ridge's where there is one, else in small letters. IntegrityError."""
    top = data[_FIRST * SECTOR : (_FIRST + 1) * SECTOR]
    if len(data) > MAX_IMAGE or len(top) < SECTOR or not begins(data):
        raise IntegrityError("not an ISO 9660 image, or too large a one", where=where)
    at, size = struct.unpack_from("<I4xI", top, 156 + 2)
    folder = _extent(data, at, min(size, MAX_FOLDER), where)
    files: dict[str, bytes] = {}
    here = 0
    while here < len(folder):
        length = folder[here]
        if not length:  # a record doesn't cross sectors
            here = (here // SECTOR + 1) * SECTOR
            continue
        row = folder[here : here + length]
        if length < 34 or len(row) < length or 33 + row[32] > length:
            raise IntegrityError("a directory record that is none", where=where)
        at, size = struct.unpack_from("<I4xI", row, 2)
        if not row[25] & _FOLDER:
            files[_name(row)] = _extent(data, at, size, where)
        here += length
    return files


def _extent(data: bytes, at: int, size: int, where: str) -> bytes:
    found = data[at * SECTOR : at * SECTOR + size]
    if len(found) < size:
        raise IntegrityError("an ISO 9660 image that is cut short", where=where)
    return found


def _name(row: bytes) -> str:
    plain = row[33 : 33 + row[32]]
    at, name = 33 + row[32] + (1 - row[32] % 2), b""
    while at + 4 <= len(row) and 4 <= row[at + 2] <= len(row) - at:
        if row[at : at + 2] == b"NM":
            name += row[at + 5 : at + row[at + 2]]
        at += row[at + 2]
    if name:
        return name.decode("utf-8", "replace")
    return plain.decode("ascii", "replace").partition(";")[0].rstrip(".").lower()
