"""Carrying: files and folders as a tar stream (POSIX.1-2001), to and from an instance.

As a program, started by the supervisor with an instance's pidfd as descriptor 3, it enters that one's user and mount
namespaces for good: what it reads or writes then is the instance's, with no more power than root has in there, whatever
links the instance lays and moves meanwhile. It is not in the instance's pid namespace, so nothing in there sees it. Of
this package it imports nothing, which would not be there to be found any more.
"""

from __future__ import annotations

import codecs
import os
import stat
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_NEWUSER_NEWNS = 0x10000000 | 0x00020000
_PIDFD = 3
_DEEPEST, _LONGEST = 200, 4095
LISTED = 10_000
"""Names of a folder that are listed."""
_LATEST = 1 << 33
"""The last modification time that is believed."""
_BLOCK = 1 << 20
_UNCARRIED = ("proc", "sys", "dev")
"""What is at an instance's root but is no file of it."""


class CarryError(Exception):
    """What can't be carried, in a sentence."""


def pack(path: str, stream: IO[bytes]) -> int:
    """Write a file or folder as tar; how many devices, sockets and pipes were left out. The first member's name is the
    path's last part. OSError and CarryError."""
    found = Path(path).resolve(strict=True)
    name = found.name
    folder = os.open(found.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
            return _add(tar, folder, name or ".", name or "root", 0, _UNCARRIED if not name else ())
    finally:
        os.close(folder)


def _add(tar: tarfile.TarFile, folder: int, name: str, path: str, depth: int, without: tuple[str, ...] = ()) -> int:
    if depth > _DEEPEST or len(os.fsencode(path)) > _LONGEST:
        raise CarryError(f"{path[:60]}… lies too deep")
    info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    member = tarfile.TarInfo(path)
    member.mode, member.mtime = info.st_mode & 0o777, min(max(0, int(info.st_mtime)), _LATEST)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if stat.S_ISDIR(info.st_mode):
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
        with _opened(name, flags | os.O_DIRECTORY, folder) as inner:
            names = sorted(each for each in os.listdir(inner) if each not in without)
            return sum(_add(tar, inner, each, f"{path}/{each}", depth + 1) for each in names)
    if stat.S_ISLNK(info.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, os.readlink(name, dir_fd=folder)
        tar.addfile(member)
        return 0
    if not stat.S_ISREG(info.st_mode):
        return 1
    with _opened(name, flags, folder) as file:
        now = os.fstat(file)
        if not stat.S_ISREG(now.st_mode):
            return 1
        member.size = now.st_size
        tar.addfile(member, _Exactly(file))  # type: ignore[arg-type]
    return 0


@contextmanager
def _opened(name: str, flags: int, folder: int) -> Iterator[int]:
    file = os.open(name, flags, dir_fd=folder)
    try:
        yield file
    finally:
        os.close(file)


class _Exactly:
    """A file that may shrink while it is read: what is missing then is zeros, since its size was said before."""

    def __init__(self, file: int) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        block = os.read(self._file, size)
        while len(block) < size and (more := os.read(self._file, size - len(block))):
            block += more
        return block.ljust(size, b"\0")


def unpack(stream: IO[bytes], dest: Path, owner: tuple[int, int] | None = None) -> int:
    """Lay down what a tar stream holds: below ``dest`` if that is a folder, else as ``dest``, of which the parent must
    be one; how many devices, sockets and pipes were left out.

    The stream is believed in nothing: links come last, so that nothing is written through one; no name leads out; no
    file is begun that the disk can't hold. OSError and CarryError.
    """
    left, links, made = 0, [], set[Path]()
    within = dest.is_dir()
    if not within and not dest.parent.is_dir():
        raise CarryError(f"there is no folder {dest.parent}")
    root, count = "", 0
    try:
        with tarfile.open(fileobj=stream, mode="r|", errors="surrogateescape") as tar:
            for count, member in enumerate(tar, 1):  # noqa: B007
                tar.members = []  # type: ignore[attr-defined]  # a stream's are all kept otherwise
                root = root or member.name.split("/")[0]
                path = _path(member.name, dest, root if not within else "")
                if member.issym():
                    links.append((path, member.linkname))
                    continue
                if not member.isdir() and not member.isreg():
                    left += 1
                    continue
                _folders(path.parent if member.isreg() else path, dest, made, owner)
                source = tar.extractfile(member)
                if source is not None:
                    _write(source, path, member, owner)
    except tarfile.TarError as error:
        raise CarryError(f"the stream is no tar, or ends too soon: {error}") from None
    for path, target in links:
        _folders(path.parent, dest, made, owner)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
        _own(path, owner)
    if not count:
        raise CarryError("the stream holds nothing")
    return left


def _path(name: str, dest: Path, root: str) -> Path:
    """Where a member goes; with ``root``, its first part is to be called ``dest``."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name or len(parts) > _DEEPEST + 1:
        raise CarryError(f"{name[:60]!r} is no name below a folder")
    if root and parts and parts[0] != root:
        raise CarryError(f"the stream holds more than one file or folder, so {dest} has to be a folder")
    return dest.joinpath(*(parts[1:] if root else parts))


def _folders(path: Path, dest: Path, made: set[Path], owner: tuple[int, int] | None) -> None:
    """``path`` as a folder, with those between it and ``dest``: none of them a link."""
    if path in made or path == dest.parent or (path == dest and path.is_dir()):
        return
    _folders(path.parent, dest, made, owner)
    try:
        path.mkdir(0o755)
        _own(path, owner)
    except FileExistsError:
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise CarryError(f"{path} is no folder") from None
    made.add(path)


def _write(source: IO[bytes], path: Path, member: tarfile.TarInfo, owner: tuple[int, int] | None) -> None:
    room = os.statvfs(path.parent)
    if member.size > room.f_bavail * room.f_frsize:
        raise CarryError(f"{member.name[:60]} has {member.size} bytes, which the disk has no room for")
    path.unlink(missing_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        while block := source.read(_BLOCK):
            view = memoryview(block)
            while view:
                view = view[os.write(file, view) :]
        os.fchmod(file, member.mode & 0o777)
        os.utime(file, (min(max(0, member.mtime), _LATEST),) * 2)
        if owner:
            with suppress(OSError):
                os.fchown(file, *owner)
    finally:
        os.close(file)


def _own(path: Path, owner: tuple[int, int] | None) -> None:
    if owner:
        with suppress(OSError):  # an instance of one id has no other owner
            os.chown(path, *owner, follow_symlinks=False)


def told(path: str) -> list[dict[str, object]]:
    """What is at a path: itself, and then, if it is a folder, what is in it, by name. OSError and CarryError."""
    here = Path(path)
    found = here.lstat()
    if not stat.S_ISDIR(found.st_mode):
        return [_entry(here.name, here, found)]
    names = sorted(os.listdir(path))
    if len(names) > LISTED:
        raise CarryError(f"{len(names)} names are in there; {LISTED} is the most that can be listed")
    entries = [_entry(".", here, found)]
    for name in names:
        with suppress(FileNotFoundError):  # gone meanwhile
            entries.append(_entry(name, here / name, (here / name).lstat()))
    return entries


def _entry(name: str, path: Path, found: os.stat_result) -> dict[str, object]:
    kinds = {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "link"}
    kind = kinds.get(stat.S_IFMT(found.st_mode), "other")
    target = os.readlink(path) if kind == "link" else ""
    return {
        "name": _shown(name),
        "kind": kind,
        "size": found.st_size if kind == "file" else 0,
        "mode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
        "modified": found.st_mtime,
        "target": _shown(target),
    }


def _shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")


def remove(path: str, *, whole: bool) -> None:
    """Remove a file, a link or an empty folder; or, ``whole``, a folder with all that is in it. No link is followed but
    those before the last part. OSError and CarryError."""
    import shutil

    here = Path(path)
    if not stat.S_ISDIR(here.lstat().st_mode):
        here.unlink()
    elif here.resolve() == Path("/"):
        raise CarryError("the root can't be removed")
    elif whole:
        shutil.rmtree(here)
    else:
        here.rmdir()


def _enter() -> None:
    """Become root of the instance whose pidfd is descriptor 3; or, where it has no root, its one user."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(_PIDFD, _NEWUSER_NEWNS):
        raise CarryError(f"the instance can't be entered, or has ended: {os.strerror(ctypes.get_errno())}")
    os.close(_PIDFD)
    with suppress(OSError):
        os.setgroups([])
    with suppress(OSError):
        os.setresgid(0, 0, 0)
    with suppress(OSError):
        os.setresuid(0, 0, 0)
    os.chdir("/")


def main(way: str, path: str, *owner: str) -> int:
    """``out PATH``, ``in PATH UID GID``, ``list PATH``, ``remove PATH`` or ``remove-folder PATH``; what goes wrong is
    one line on standard error."""
    import json
    import shutil  # noqa: F401  (which would not be found any more)

    for encoding in ("ascii", "utf-8", "iso8859-1"):
        codecs.lookup(encoding)  # which are files of this machine
    try:
        _enter()
        os.umask(0)
        left = 0
        if way == "out":
            left = pack(path, sys.stdout.buffer)
        elif way == "in":
            left = unpack(sys.stdin.buffer, Path(path), (int(owner[0]), int(owner[1])))
        elif way == "list":
            sys.stdout.buffer.write(json.dumps(told(path)).encode())
        else:
            remove(path, whole=way == "remove-folder")
        sys.stdout.buffer.flush()
    except (OSError, CarryError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        sys.stderr.write(f"{what}\n")
        return 1
    if left:
        sys.stderr.write(f"{left} devices, sockets and pipes were left out\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
