"""Deterministic cpio archives, as the kernel unpacks them into its first root (cpio(5), "New ASCII Format"; the
kernel's Documentation/driver-api/early-userspace/buffer-format.rst).

Archives may follow each other, each padded to four bytes; what a later one holds replaces what an earlier one did.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from oslet.errors import IntegrityError

ALIGN = 4
_MAGIC = b"070701"
_HEADER = 110
_TRAILER = "TRAILER!!!"
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "character device",
}
_MAX_PATH = 4095
_MAX_SIZE = 0xFFFFFFFF


class Member(NamedTuple):
    """One path of an archive: ``mode`` with its type bits (stat.S_IFREG, …), ``data`` a file's content or a link's
    target, ``device`` the major and minor number of a device. ``path`` is absolute and normal."""

    path: str
    mode: int
    data: bytes = b""
    uid: int = 0
    gid: int = 0
    device: tuple[int, int] = (0, 0)


def file(path: str, data: bytes, mode: int = 0o644) -> Member:
    """A regular file of root's."""
    return Member(path, stat.S_IFREG | mode, data)


def folder(path: str, mode: int = 0o755) -> Member:
    """A folder of root's."""
    return Member(path, stat.S_IFDIR | mode)


def device(path: str, major: int, minor: int, mode: int = 0o600) -> Member:
    """A character device of root's."""
    return Member(path, stat.S_IFCHR | mode, device=(major, minor))


def pack(members: Sequence[Member]) -> bytes:
    """One archive of ``members``, in their order; its bytes follow from them alone. Folders come before what stands in
    them: the kernel makes none by itself."""
    made = bytearray()
    for serial, member in enumerate(members, 1):
        _append(made, member.path.lstrip("/") or ".", member, serial)
    _append(made, _TRAILER, Member("", 0), 0)
    return bytes(made)


def _append(made: bytearray, name: str, member: Member, serial: int) -> None:
    data, text = member.data, name.encode() + b"\0"
    if len(data) > _MAX_SIZE or len(text) > _MAX_PATH + 1:
        raise ValueError(f"cpio can't hold {member.path}")
    links = 2 if stat.S_ISDIR(member.mode) else 1
    numbers = (serial, member.mode, member.uid, member.gid, links, 0, len(data), 0, 0, *member.device, len(text), 0)
    made += _MAGIC + b"".join(b"%08X" % number for number in numbers)
    made += text
    made += bytes(-len(made) % ALIGN)
    made += data
    made += bytes(-len(made) % ALIGN)


def unpack(data: bytes, *, where: str, most: int = 100_000) -> Iterator[Member]:
    """The members of all archives in ``data``. IntegrityError for what isn't whole, plain and bounded."""
    at = count = 0
    while at < len(data):
        if not data[at]:  # padding between archives
            at += 1
            continue
        count += 1
        if count > most:
            raise IntegrityError(f"more than {most} members", where=where)
        head = data[at : at + _HEADER]
        if len(head) < _HEADER or head[:6] != _MAGIC:
            raise IntegrityError("a cpio header is not of the new ASCII format", where=f"{where}: byte {at}")
        try:
            numbers = [int(head[i : i + 8], 16) for i in range(6, _HEADER, 8)]
        except ValueError:
            raise IntegrityError("a cpio header holds no number", where=f"{where}: byte {at}") from None
        mode, uid, gid, size, length = numbers[1], numbers[2], numbers[3], numbers[6], numbers[11]
        begin = at + _HEADER
        content = begin + length + -(begin + length) % ALIGN
        if not 0 < length <= _MAX_PATH + 1 or content + size > len(data):
            raise IntegrityError("a cpio archive ends within a member", where=f"{where}: byte {at}")
        name = _name(data[begin : begin + length], f"{where}: byte {at}")
        at = content + size + -(content + size) % ALIGN
        if name == _TRAILER:
            continue
        if stat.S_IFMT(mode) not in _KINDS:
            raise IntegrityError(f"{name!r} is of a kind that no archive of ours has", where=where)
        yield Member(_path(name, where), mode, data[content : content + size], uid, gid, (numbers[9], numbers[10]))


def _name(raw: bytes, where: str) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise IntegrityError("a member's name is not UTF-8", where=where) from None
    if not name.endswith("\0") or "\0" in name[:-1]:
        raise IntegrityError("a member's name doesn't end where it should", where=where)
    return name[:-1]


def _path(name: str, where: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise IntegrityError(f"{name!r} leads out of the archive", where=where)
    return "/" + "/".join(parts)
