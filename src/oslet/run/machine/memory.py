"""The least memory that a guest can begin with: below it a kernel ends before anyone could tell why."""

from __future__ import annotations

import struct
from pathlib import Path

from oslet.errors import RunError
from oslet.run.machine.guest import MIB, mebibytes

_LOAD = 1
_HEADERS = 64
_SETUP, _INIT_SIZE, _PREFERRED = 0x202, 0x260, 0x258
"""Of a bzImage: Documentation/arch/x86/boot.rst."""
_ROOM = 14 * MIB
"""Page tables, the map of pages, and the rings of virtio devices with a page for each entry."""


def least(kernel: Path, initramfs: Path | None) -> int:
    """Bytes, from where the kernel is loaded and how large it is there. The archive stands in memory twice: as it is,
    and as the files in it. 0 where the kernel's file doesn't tell."""
    with kernel.open("rb") as file:
        head = file.read(4096)
        end = _elf_end(head) if head[:4] == b"\x7fELF" else _image_end(head)
    unpacked = 2 * initramfs.stat().st_size if initramfs else 0
    return end + unpacked + _ROOM if end else 0


def check(memory: int, least: int) -> None:
    """RunError if a guest would have less than the least."""
    if memory < least:
        raise RunError(
            f"a guest with this kernel begins with {mebibytes(least)} MiB or more, and would have {mebibytes(memory)}",
            where="machine.memory",
            hint=f'write memory = "{-(-mebibytes(least) // 16) * 16}MiB" or more, or start it with as much',
        )


def _elf_end(head: bytes) -> int:
    """Where an ELF file's last segment ends in physical memory (elf(5), 64 bits)."""
    start, size, count = (int.from_bytes(head[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
    ends = [0]
    for at in range(start, start + size * min(count, _HEADERS), size or 56):
        if at + 56 <= len(head):
            kind, _, _, _, place, _, length, _ = struct.unpack_from("<IIQQQQQQ", head, at)
            ends += [place + length] if kind == _LOAD else []
    return max(ends)


def _image_end(head: bytes) -> int:
    if len(head) < _INIT_SIZE + 4 or head[_SETUP : _SETUP + 4] != b"HdrS":
        return 0
    (preferred,), (size,) = struct.unpack_from("<Q", head, _PREFERRED), struct.unpack_from("<I", head, _INIT_SIZE)
    return int(preferred + size)
