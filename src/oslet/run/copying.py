"""Copying: a folder's exact copy, sharing its blocks where the file system can (``ioctl_ficlone(2)``).

Owners, modes, times, extended attributes, holes and hard links are kept; sockets are not, since whoever listened is
gone, nor are device nodes. Everything is named by its folder's descriptor and no link is followed, so that whoever
writes to the folder meanwhile can mix up its copy but lead it nowhere.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from oslet.errors import RunError

_FICLONE = 0x40049409
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
"""Of ``fallocate(2)``."""
_HOLE = 1 << 16
_NOTHING = bytes(_HOLE)
_DEPTH = 256
_BLOCK = 1 << 20
_ELSEWHERE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM, errno.EBADF)
"""What says of a quicker way that it isn't one between these two files."""
_KNOWN_ONLY = (errno.EPERM, errno.EOPNOTSUPP, errno.EACCES)
"""What the kernel says of an attribute that is not ours to set: others' marks, and those of another file system."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy(source: Path, target: Path) -> None:
    """Make ``target``, which isn't there yet, a copy of the folder ``source``, and see it on the disk."""
    target.mkdir(mode=0o700)
    reading, writing = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), os.open(target, _FOLDER)
    try:
        _Copy(writing).fill(reading, writing, "", 0)
        _attributes(reading, writing)
        sync(writing)
    finally:
        os.close(reading)
        os.close(writing)


def copy_file(source: Path, target: Path) -> None:
    """Make ``target`` a copy of a file: with the same blocks where the file system can, else without those of zeros."""
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _contents(reading, writing, os.fstat(reading))
    finally:
        os.close(reading)
        os.close(writing)


def dig(folder: Path) -> None:
    """Have no blocks for what is zero in the files of a folder that nobody uses: what isn't there isn't copied later,
    by us or by an overlay. PostgreSQL's first log alone is 16 MiB of it."""
    import ctypes

    punch = ctypes.CDLL(None, use_errno=True).fallocate64
    punch.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    for _, _, files, opened in os.fwalk(folder):
        for name in files:
            info = os.stat(name, dir_fd=opened, follow_symlinks=False)
            if not stat.S_ISREG(info.st_mode) or info.st_size < _HOLE:
                continue
            with os.fdopen(os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=opened), "r+b") as file:
                for at in range(0, info.st_size - _HOLE + 1, _HOLE):
                    if os.pread(file.fileno(), _HOLE, at) == _NOTHING:
                        punch(file.fileno(), _PUNCH_HOLE | _KEEP_SIZE, at, _HOLE)  # where it can't, it stays
                os.utime(file.fileno(), ns=(info.st_atime_ns, info.st_mtime_ns))


def sync(descriptor: int) -> None:
    """Have all of a file system on its disk: ``syncfs(2)``."""
    import ctypes

    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class _Copy:
    """One copy: where its root is, and what has further names there."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._linked: dict[tuple[int, int], str] = {}

    def fill(self, reading: int, writing: int, path: str, depth: int) -> None:
        if depth > _DEPTH:
            raise RunError(f"the volume's folders are nested more than {_DEPTH} deep", where=path[:200])
        for name in os.listdir(reading):
            info = os.stat(name, dir_fd=reading, follow_symlinks=False)
            below = f"{path}{name}"
            if stat.S_ISDIR(info.st_mode):
                self._folder(reading, writing, name, f"{below}/", depth)
            elif stat.S_ISREG(info.st_mode):
                self._file(reading, writing, name, below)
            elif stat.S_ISLNK(info.st_mode):
                os.symlink(os.readlink(name, dir_fd=reading), name, dir_fd=writing)
                _named_attributes(reading, writing, name, info)
            elif stat.S_ISFIFO(info.st_mode):
                os.mkfifo(name, 0o600, dir_fd=writing)
                _named_attributes(reading, writing, name, info)

    def _folder(self, reading: int, writing: int, name: str, below: str, depth: int) -> None:
        os.mkdir(name, 0o700, dir_fd=writing)
        source, target = os.open(name, _FOLDER, dir_fd=reading), os.open(name, _FOLDER, dir_fd=writing)
        try:
            self.fill(source, target, below, depth + 1)
            _attributes(source, target)
        finally:
            os.close(source)
            os.close(target)

    def _file(self, reading: int, writing: int, name: str, path: str) -> None:
        source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=reading)
        try:
            info = os.fstat(source)
            if not stat.S_ISREG(info.st_mode):
                return
            known = self._linked.get((info.st_dev, info.st_ino))
            if known is not None:
                os.link(known, name, src_dir_fd=self._root, dst_dir_fd=writing, follow_symlinks=False)
                return
            if info.st_nlink > 1:
                self._linked[info.st_dev, info.st_ino] = path
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            target = os.open(name, flags, 0o600, dir_fd=writing)
            try:
                _contents(source, target, info)
                _attributes(source, target)
            finally:
                os.close(target)
        finally:
            os.close(source)


def _contents(source: int, target: int, info: os.stat_result) -> None:
    """Share the blocks, else copy the data between the holes (``lseek(2)``, SEEK_DATA)."""
    if not info.st_size:
        return
    with suppress(OSError):
        fcntl.ioctl(target, _FICLONE, source)
        return
    os.ftruncate(target, info.st_size)
    at = 0
    while at < info.st_size:
        try:
            begin = os.lseek(source, at, os.SEEK_DATA)
            end = os.lseek(source, begin, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole is left
                return
            begin, end = at, info.st_size
        _extent(source, target, begin, min(end, info.st_size))
        at = end


def _extent(source: int, target: int, at: int, end: int) -> None:
    inside = True
    while at < end:
        if inside:
            try:
                moved = os.copy_file_range(source, target, end - at, at, at)
            except OSError as error:
                if error.errno not in _ELSEWHERE:
                    raise
                moved = 0
            inside = moved > 0  # a file that is shorter than it was is told by pread
            at += moved
            continue
        block = os.pread(source, min(_BLOCK, end - at), at)
        if not block:
            return
        at += os.pwrite(target, block, at)


def _attributes(source: int, target: int) -> None:
    """Owner, mode, extended attributes and times, in this order: a new owner takes capabilities and set-id bits."""
    info = os.fstat(source)
    os.fchown(target, info.st_uid, info.st_gid)
    os.fchmod(target, stat.S_IMODE(info.st_mode))
    for name in _list(source):
        _set(target, name, os.getxattr(source, name))
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns))


def _named_attributes(reading: int, writing: int, name: str, info: os.stat_result) -> None:
    """Those of what can't be opened without following or waiting for it; extended ones on such are only trusted."""
    os.chown(name, info.st_uid, info.st_gid, dir_fd=writing, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        os.chmod(name, stat.S_IMODE(info.st_mode), dir_fd=writing)
    os.utime(name, ns=(info.st_atime_ns, info.st_mtime_ns), dir_fd=writing, follow_symlinks=False)


def _list(descriptor: int) -> list[str]:
    try:
        return os.listxattr(descriptor)
    except OSError as error:
        if error.errno in _KNOWN_ONLY:
            return []
        raise


def _set(descriptor: int, name: str, value: bytes) -> None:
    try:
        os.setxattr(descriptor, name, value)
    except OSError as error:
        if error.errno not in _KNOWN_ONLY or name.startswith("user."):
            raise
