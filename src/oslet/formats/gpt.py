"""A GUID partition table: UEFI Specification 2.10, section 5. Sectors of 512 bytes, partitions at whole MiB.

It is one header, one table and two checksums: less than the tool that would have to be fetched to write them.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Sequence
from typing import NamedTuple

SECTOR = 512
ALIGN = 1 << 20
ENTRIES = 128
_ENTRY = struct.Struct("<16s16sQQQ72s")
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_TABLE = ENTRIES * _ENTRY.size // SECTOR
_READ_ONLY = 1 << 60

ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
ROOT = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
ROOT_VERITY = "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"
DATA = "0fc63daf-8483-4772-8e79-3d69d8477de4"
"""Types of the UAPI Group's Discoverable Partitions Specification, for x86-64; the last is its generic Linux data."""


class Partition(NamedTuple):
    """One partition: its type and its own GUID as text, its ``name`` (36 characters), its size in bytes."""

    kind: str
    guid: str
    name: str
    size: int
    read_only: bool = False


class Placed(NamedTuple):
    """A table's two ends and where in bytes each partition begins; ``size`` is the disk's."""

    head: bytes
    tail: bytes
    starts: tuple[int, ...]
    size: int


def gpt(guid: str, partitions: Sequence[Partition]) -> Placed:
    """The table of a disk just large enough. ``head`` begins it, with a protective MBR; ``tail`` ends it."""
    if len(partitions) > ENTRIES:
        raise ValueError("too many partitions")
    starts, at = [], ALIGN
    entries = bytearray()
    for each in partitions:
        name = each.name.encode("utf-16-le")
        if len(name) > 72 or each.size <= 0:
            raise ValueError(f"no such partition: {each.name}")
        starts.append(at)
        flags = _READ_ONLY if each.read_only else 0
        last = (at + each.size - 1) // SECTOR
        entries += _ENTRY.pack(_guid(each.kind), _guid(each.guid), at // SECTOR, last, flags, name)
        at = -(-(at + each.size) // ALIGN) * ALIGN
    size = at + ALIGN
    table = bytes(entries).ljust(_TABLE * SECTOR, b"\0")
    last = size // SECTOR - 1
    first = _header(guid, table, 1, last, 2, last)
    second = _header(guid, table, last, 1, last - _TABLE, last)
    return Placed(_protective(last) + first + table, table + second, tuple(starts), size)


def _header(guid: str, table: bytes, here: int, other: int, at: int, last: int) -> bytes:
    ends = (2 + _TABLE, last - _TABLE - 1)
    fields = (_guid(guid), at, ENTRIES, _ENTRY.size, zlib.crc32(table))
    made = _HEADER.pack(b"EFI PART", 0x10000, _HEADER.size, 0, 0, here, other, *ends, *fields)
    checksum = struct.pack("<I", zlib.crc32(made))
    return (made[:16] + checksum + made[20:]).ljust(SECTOR, b"\0")


def _protective(last: int) -> bytes:
    """An MBR whose one partition is all of the disk, so that old programs leave it alone."""
    record = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff\xff\xff", 1, min(last, 0xFFFFFFFF))
    return bytes(446) + record + bytes(48) + b"\x55\xaa"


def _guid(text: str) -> bytes:
    return uuid.UUID(text).bytes_le
