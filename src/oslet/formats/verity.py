"""dm-verity's hash tree: a root hash that speaks for every block of a file system (the kernel's
Documentation/admin-guide/device-mapper/verity.rst; the header is veritysetup's, cryptsetup's wiki "DMVerity").

Format 1, SHA-256, blocks of 4096 bytes: each block's hash is of the salt and the block; the levels stand from the top
down behind the header's block.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import NamedTuple

BLOCK = 4096
_HEADER = struct.Struct("<8sII16s32sIIQH6x256s")


class Verity(NamedTuple):
    """The root's hash, the device with header and tree as ``data``, and how many ``blocks`` they speak for."""

    root: bytes
    data: bytes
    blocks: int
    salt: bytes


def verity(blocks: Iterable[bytes], salt: bytes, uuid: bytes) -> Verity:
    """The hash tree of ``blocks``, each of 4096 bytes; ``salt`` is at most 256 bytes, ``uuid`` 16."""
    level = [_hash(salt, block) for block in blocks]
    count = len(level)
    if not count:
        raise ValueError("verity needs a block at least")
    levels: list[bytes] = []
    while len(level) > 1 or not levels:
        packed = b"".join(level)
        packed += bytes(-len(packed) % BLOCK)
        levels.append(packed)
        level = [_hash(salt, packed[at : at + BLOCK]) for at in range(0, len(packed), BLOCK)]
    header = _HEADER.pack(*(b"verity\0\0", 1, 1, uuid, b"sha256", BLOCK, BLOCK, count, len(salt)), salt)
    return Verity(level[0], header.ljust(BLOCK, b"\0") + b"".join(reversed(levels)), count, salt)


def _hash(salt: bytes, block: bytes) -> bytes:
    if len(block) != BLOCK:
        raise ValueError("a block that isn't one")
    return hashlib.sha256(salt + block).digest()


def table(found: Verity, data: str, tree: str) -> str:
    """The device mapper's line for it: how it is set up at boot (dm-init.rst). Devices as the kernel finds them."""
    size = found.blocks * (BLOCK // 512)
    words = f"{data} {tree} {BLOCK} {BLOCK} {found.blocks} 1 sha256 {found.root.hex()} {found.salt.hex()}"
    return f"root,,,ro,0 {size} verity 1 {words}"
