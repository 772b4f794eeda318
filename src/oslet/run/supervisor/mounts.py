"""Mounts and host names, by the kernel's own calls: a program for each would take longer than all the rest."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from oslet.errors import RunError

_NOSUID, _NODEV, _BIND, _REC = 2, 4, 4096, 16384
_DETACH = 2
_NEWUTS = 0x04000000


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str, options: str = "", flags: int = 0) -> None:
    """``mount(2)``. RunError with what the kernel says."""
    if _libc().mount(source.encode(), os.fsencode(target), kind.encode(), flags, options.encode()):
        number = ctypes.get_errno()
        raise RunError(f"a mount failed: {kind or 'bind'}: {os.strerror(number)}", where=str(target))


def tmpfs(target: Path, size: int) -> None:
    """An empty file system in memory, of at most ``size`` bytes."""
    mount("oslet", target, "tmpfs", f"mode=0711,size={max(size, 1 << 20)}", _NOSUID | _NODEV)


def overlay(target: Path, lower: Path, upper: Path, work: Path, *, user: bool) -> None:
    """``lower`` with ``upper`` over it. An ordinary ``user`` may not write the trusted attributes by which an overlay
    marks what it hides (overlayfs.rst, userxattr)."""
    opened = os.open(lower, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # By descriptor, since a path may hold the colons and commas that separate options.
        options = f"lowerdir=/proc/self/fd/{opened},upperdir={upper},workdir={work}"
        mount("oslet", target, "overlay", f"userxattr,{options}" if user else options, _NOSUID | _NODEV)
    finally:
        os.close(opened)


def bind(source: Path, target: Path) -> None:
    """``source`` itself, whatever its name becomes: a last link in it isn't followed."""
    opened = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        mount(f"/proc/self/fd/{opened}", target, "", "", _BIND | _REC)
    finally:
        os.close(opened)


def detach(target: Path) -> None:
    """Take a mount, and those below it, out of this namespace; whoever has them elsewhere keeps them."""
    _libc().umount2(os.fsencode(target), _DETACH)


def name_host(pid: int, name: str) -> None:
    """Give the instance of ``pid`` its host name: this thread visits its UTS namespace for that."""
    own = os.open("/proc/thread-self/ns/uts", os.O_RDONLY | os.O_CLOEXEC)
    try:
        theirs = os.open(f"/proc/{pid}/ns/uts", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if not _libc().setns(theirs, _NEWUTS):
                _libc().sethostname(name.encode(), len(name.encode()))
                _libc().setns(own, _NEWUTS)
        finally:
            os.close(theirs)
    finally:
        os.close(own)
