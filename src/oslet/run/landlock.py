"""Landlock: a second wall inside an instance, which its first process builds around itself (landlock(7)).

The kernel takes away at every access, whatever mounts and modes say: the rest of the root is read and run, and written
to only where the instance is to write. ``native/landlock.h`` reads what ``pack`` makes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
EVERY = (1 << 16) - 1
"""LANDLOCK_ACCESS_FS_*: rights on files, linux/landlock.h."""
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
READ = EXECUTE | READ_FILE | READ_DIR
ALL = EVERY & ~(MAKE_CHAR | MAKE_BLOCK)
"""What an instance may do where it may write: all but to make device nodes."""
FILE = EXECUTE | READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV
"""All that can be said of a single file."""
DEVICES = READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | IOCTL_DEV
CONNECT_TCP = 2
ABSTRACT_SOCKETS, SIGNALS = 1, 2
"""LANDLOCK_SCOPE_*: sockets and processes outside the instance, which share a network or a pid namespace with it."""
_LOCK = struct.Struct("<3Q2H4x")
_MOST = 1 << 15


class Rule(NamedTuple):
    """Rights on everything at and below a path inside the instance."""

    path: str
    rights: int


def rules(
    volumes: Sequence[str], homes: Sequence[str], files: Sequence[str] = (), *, read_only: bool
) -> tuple[Rule, ...]:
    """What an instance may do with files. ``homes`` are its service user's own folders, ``files`` that user's files
    elsewhere; a read-only one may not write to them."""
    writable = ("/tmp", "/run", "/dev/shm", "/proc", *volumes, *(() if read_only else ("/var/tmp", *homes)))
    single = () if read_only else files
    return (
        Rule("/", READ),
        Rule("/dev", DEVICES),
        *(Rule(path, ALL) for path in dict.fromkeys(writable)),
        *(Rule(path, FILE) for path in dict.fromkeys(single)),
    )


def pack(found: Sequence[Rule], ports: Sequence[int] | None = None) -> bytes:
    """The rules as the stub reads them. ``ports`` are the TCP ports it may connect to; None is all. ValueError for
    what can't be said."""
    if len(found) > _MOST or len(ports or ()) > _MOST or any("\0" in rule.path for rule in found):
        raise ValueError("no such Landlock rules")
    net = 0 if ports is None else CONNECT_TCP
    head = _LOCK.pack(EVERY, net, ABSTRACT_SOCKETS | SIGNALS, len(ports or ()), len(found))
    numbers = b"".join(struct.pack("<H", port) for port in ports or ())
    paths = b"".join(struct.pack("<Q", r.rights) + r.path.encode("utf-8", "surrogateescape") + b"\0" for r in found)
    return head + numbers + paths
