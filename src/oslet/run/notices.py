"""Notices: what the kernel tells of a system call that a filter holds, and the answer that lets it go on.

``seccomp_unotify(2)``, linux/seccomp.h. Who holds the descriptor reads a notice, looks, and answers; a process whose
call is held waits meanwhile, and gets ENOSYS for it once nobody holds the descriptor any more.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from contextlib import suppress
from functools import cache
from typing import NamedTuple

_RECEIVE, _SEND, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082104
_NOTICE = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_CONTINUE, _SYNC_WAKE_UP = 1, 1
_EMPTY = bytes(_NOTICE.size)
_PAGE = 4096
_PIDFD_GETFD = 438
"""The same number on every kind of processor: pidfd_getfd(2), asm-generic/unistd.h."""
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
    """Up to ``size`` bytes of a process's memory: fewer where its pages end, none where they may not be read.

    By ``process_vm_readv(2)``, since /proc/PID/mem belongs to the process's user: an ordinary user may trace what runs
    in a user namespace of his, as other ids of his, but not open their files.
    """
    room = ctypes.create_string_buffer(size)
    # Most paths end within their page, and the next may be nobody's: each part is read whole or not at all.
    first = min(size, _PAGE - address % _PAGE)
    theirs = (_Part * 2)(_Part(address, first), _Part(address + first, size - first))
    ours = (_Part * 1)(_Part(ctypes.addressof(room), size))
    read = _libc().process_vm_readv(thread, ours, 1, theirs, 2 if first < size else 1, 0)
    return room.raw[:read] if read > 0 else b""


def place(thread: int, folder: int) -> str | None:
    """The folder that a call's descriptor means, as the process sees it: AT_FDCWD is its working folder."""
    number = folder & 0xFFFFFFFF
    try:
        if number >= 0x80000000:
            found = os.readlink(f"/proc/{thread}/cwd")  # pathlib would cost as much as the call
        else:
            found = _through(thread, number)
    except OSError:
        return None
    return found if found.startswith("/") else None


def _through(thread: int, descriptor: int) -> str:
    """Where a process's descriptor leads. OSError where that can't be told."""
    try:
        return os.readlink(f"/proc/{thread}/fd/{descriptor}")
    except PermissionError:  # the folder belongs to the process's user, as its memory does
        leader = _leader(thread)
    watched = os.pidfd_open(leader)
    try:
        copy = _libc().syscall(_PIDFD_GETFD, watched, descriptor, 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        try:
            return os.readlink(f"/proc/self/fd/{copy}")
        finally:
            os.close(copy)
    finally:
        os.close(watched)


def _leader(thread: int) -> int:
    """The process of a thread, which shares its descriptors."""
    with open(f"/proc/{thread}/status", "rb") as stream:  # noqa: PTH123
        return int(stream.read(512).partition(b"\nTgid:\t")[2].split(b"\n", 1)[0] or thread)


class _Part(ctypes.Structure):
    """``struct iovec``: readv(2)."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    counts = (ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong)
    library.process_vm_readv.argtypes = counts
    library.process_vm_readv.restype = ctypes.c_ssize_t
    return library
