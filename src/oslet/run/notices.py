"""Notices: what the kernel tells of a system call that a filter holds, and the answer that lets it go on.

``seccomp_unotify(2)``, linux/seccomp.h. Who holds the descriptor reads a notice, looks, and answers; a process whose
call is held waits meanwhile, and gets ENOSYS for it once nobody holds the descriptor any more.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from typing import NamedTuple

_RECEIVE, _SEND, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082104
_NOTICE = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_CONTINUE, _SYNC_WAKE_UP = 1, 1
_EMPTY = bytes(_NOTICE.size)
_PAGE = 4096
PATH_MAX = 4096


class Notice(NamedTuple):
    """One held call: its id, the thread that makes it (as this process counts), its number and arguments."""

    id: int
    thread: int
    number: int
    arguments: tuple[int, ...]


def prepare(descriptor: int) -> None:
    """Ask the kernel to hand the processor straight over, which it knows since 6.6: a call is held half as long."""
    with suppress(OSError):
        fcntl.ioctl(descriptor, _SET_FLAGS, _SYNC_WAKE_UP)


def receive(descriptor: int) -> Notice | None:
    """The next held call; None when its process went away meanwhile."""
    room = bytearray(_EMPTY)  # the kernel insists on zeroes
    try:
        fcntl.ioctl(descriptor, _RECEIVE, room, True)
    except OSError:
        return None
    number, thread, _, call, _, _, *arguments = _NOTICE.unpack(room)
    return Notice(number, thread, call, tuple(arguments))


def let_go(descriptor: int, notice: Notice) -> bool:
    """Let the kernel do the call as if nothing had been; whether its process was still there to do it."""
    try:
        fcntl.ioctl(descriptor, _SEND, bytearray(_ANSWER.pack(notice.id, 0, 0, _CONTINUE)), True)
    except OSError:
        return False
    return True


def text(thread: int, address: int) -> str | None:
    """The path at ``address`` in a process's memory; None where there is none."""
    data = memory(thread, address, PATH_MAX)
    end = data.find(b"\0")
    return os.fsdecode(data[:end]) if end >= 0 else None


def memory(thread: int, address: int, size: int) -> bytes:
    """Up to ``size`` bytes of a process's memory: fewer where its pages end, none where they may not be read."""
    try:
        opened = os.open(f"/proc/{thread}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        # Most paths end within their page, and the next may be nobody's.
        first = min(size, _PAGE - address % _PAGE)
        data = os.pread(opened, first, address)
        if b"\0" not in data and first < size:
            data += os.pread(opened, size - first, address + first)
        return data
    except (OSError, OverflowError):
        return b""
    finally:
        os.close(opened)


def place(thread: int, folder: int) -> str | None:
    """The folder that a call's descriptor means, as the process sees it: AT_FDCWD is its working folder."""
    number = folder & 0xFFFFFFFF
    name = "cwd" if number >= 0x80000000 else f"fd/{number}"
    try:
        found = os.readlink(f"/proc/{thread}/{name}")  # pathlib would cost as much as the call
    except OSError:
        return None
    return found if found.startswith("/") else None
