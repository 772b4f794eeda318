"""What the store keeps by digest: objects, blobs and values; and the memo, which is kept by key."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from oslet.codec import canonical, decode
from oslet.errors import IntegrityError
from oslet.store.disk import MTIME, Disk, rename

T = TypeVar("T")

_SMALL = 1 << 20
"""Contents up to this many bytes are hashed before anything is written."""
_CHUNK = 1 << 20
_MODES = (0o644, 0o755, 0o444, 0o555)
_ROOM = re.compile(r"[a-z0-9-]{1,40}")
DIGEST = re.compile(r"[0-9a-f]{64}")


def permissions(mode: int) -> int:
    """A file's mode as it stands on disk: readable by all, and never set-id."""
    return (mode & 0o777) | 0o444


class Objects:
    """File contents by sha256, one inode per (content, permission bits). Never written to in place."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._root = f"{disk.root}/objects"

    def name(self, digest: str, mode: int) -> str:
        return f"{self._root}/{digest[:2]}/{digest}.{permissions(mode):o}"

    def put(self, data: bytes, mode: int) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self._disk.keep()
        if not _has(self.name(digest, mode), len(data)):
            self._write(digest, mode, (data,))
        return digest

    def put_stream(self, chunks: Iterable[bytes], mode: int) -> tuple[str, int]:
        """Digest and size of what ``chunks`` make; memory stays within a MiB and a chunk."""
        self._disk.keep()
        held: list[bytes] = []
        size = 0
        rest = iter(chunks)
        for chunk in rest:
            held.append(chunk)
            size += len(chunk)
            if size > _SMALL:
                return self._stream(held, rest, mode)
        data = held[0] if len(held) == 1 else b"".join(held)
        return self.put(data, mode), size

    def _stream(self, held: list[bytes], rest: Iterator[bytes], mode: int) -> tuple[str, int]:
        sha256 = hashlib.sha256()
        size = 0

        def passing() -> Iterator[bytes]:
            nonlocal size
            while held:
                yield held.pop(0)
            yield from rest

        with self._disk.writing():
            temporary = self._disk.temporary()
            try:
                with temporary.open("xb", buffering=0) as file:
                    for chunk in passing():
                        sha256.update(chunk)
                        size += len(chunk)
                        _write_all(file.fileno(), chunk)
                    self._finish(file.fileno(), mode)
                digest = sha256.hexdigest()
                name = self.name(digest, mode)
                if _has(name, size):
                    temporary.unlink()
                else:
                    rename(temporary, Path(name))
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        return digest, size

    def _write(self, digest: str, mode: int, chunks: Iterable[bytes]) -> None:
        with self._disk.writing():
            temporary = str(self._disk.temporary())
            file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                for chunk in chunks:
                    _write_all(file, chunk)
                self._finish(file, mode)
            finally:
                os.close(file)
            name = self.name(digest, mode)
            try:
                os.rename(temporary, name)  # noqa: PTH104
            except FileNotFoundError:
                rename(Path(temporary), Path(name))

    def _finish(self, file: int, mode: int) -> None:
        if self._disk.owner is not None:
            os.fchown(file, self._disk.owner, self._disk.owner)
        os.fchmod(file, permissions(mode))
        os.utime(file, (MTIME, MTIME))

    def has(self, digest: str, mode: int, size: int) -> bool:
        """Whether an inode with that content stands on disk in its full size."""
        return _has(self.name(digest, mode), size)

    def find(self, digest: str) -> Path | None:
        """Some inode with that content."""
        for mode in _MODES:
            if os.path.exists(name := self.name(digest, mode)):  # noqa: PTH110 (a tenth of Path.exists)
                return Path(name)
        if not DIGEST.fullmatch(digest):
            return None
        return next(Path(self._root, digest[:2]).glob(f"{digest}.*"), None)

    def path(self, digest: str, mode: int | None) -> Path:
        """An inode with that content, of ``mode`` if one is given (made at need); IntegrityError if there is none."""
        if mode is not None and os.path.exists(name := self.name(digest, mode)):  # noqa: PTH110
            return Path(name)
        found = self.find(digest)
        if found is None:
            raise IntegrityError("the store lacks this object", where=f"object {digest}", hint="build the image again")
        if mode is None:
            return found
        self._disk.keep()
        with found.open("rb") as file:
            self._write(digest, mode, iter(lambda: file.read(_CHUNK), b""))
        return Path(self.name(digest, mode))

    def read(self, digest: str, limit: int) -> bytes:
        with self.path(digest, None).open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise IntegrityError(f"an object over {limit} bytes", where=f"object {digest}")
        if hashlib.sha256(data).hexdigest() != digest:
            raise IntegrityError(
                "the object is not what was stored", where=f"object {digest}", hint="run: oslet verify"
            )
        return data


class Blobs:
    """Whole downloads by sha256."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def path(self, digest: str) -> Path:
        return self._disk.root / "blobs" / digest[:2] / digest

    def add(self, chunks: Iterable[bytes], sha256: str, size: int | None, where: str) -> Path:
        self._disk.keep()
        found = hashlib.sha256()
        count = 0
        with self._disk.writing():
            temporary = self._disk.temporary()
            try:
                with temporary.open("xb", buffering=0) as file:
                    for chunk in chunks:
                        count += len(chunk)
                        if size is not None and count > size:
                            raise IntegrityError(f"more than the {size} bytes that were promised", where=where)
                        found.update(chunk)
                        _write_all(file.fileno(), chunk)
                    if size is not None and count < size:
                        raise IntegrityError(f"ends after {count} of {size} bytes", where=where)
                    if found.hexdigest() != sha256:
                        raise IntegrityError(
                            f"its sha256 is {found.hexdigest()}, not {sha256}",
                            where=where,
                            hint="the source serves something else than what was locked",
                        )
                    os.fdatasync(file.fileno())
                path = self.path(sha256)
                rename(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        return path


class Values:
    """Values by the digest of their canonical bytes."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def path(self, digest: str) -> Path:
        return self._disk.root / "values" / digest[:2] / digest

    def save(self, value: object) -> str:
        data = canonical(value)
        digest = hashlib.sha256(data).hexdigest()
        self._disk.keep()
        path = self.path(digest)
        try:
            known = path.read_bytes() == data  # not only its size: saving again repairs a damaged value
        except FileNotFoundError:
            known = False
        if not known:
            self._disk.publish(path, data)
        return digest

    def data(self, digest: str, *, where: str = "") -> bytes:
        where = where or f"value {digest[:80]}"
        if not DIGEST.fullmatch(digest):
            raise IntegrityError("not a digest", where=where)
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise IntegrityError("the store lacks this value", where=where, hint="build the image again") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise IntegrityError("the value is not what was stored", where=where, hint="build the image again")
        return data

    def load(self, digest: str, shape: type[T]) -> T:
        return decode(self.data(digest), shape, where=f"value {digest}")


class Memo:
    """Answers by key that can always be made again: a damaged or half-written one is as good as none."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def path(self, room: str, key: str) -> Path:
        if not _ROOM.fullmatch(room):
            raise ValueError(f"{room!r} is not a memo's room")
        return self._disk.root / "memo" / room / hashlib.sha256(key.encode()).hexdigest()

    def remember(self, room: str, key: str, value: bytes) -> None:
        self._disk.publish(self.path(room, key), hashlib.sha256(value).hexdigest().encode() + b"\n" + value)

    def recall(self, room: str, key: str) -> bytes | None:
        try:
            data = self.path(room, key).read_bytes()
        except FileNotFoundError:
            return None
        return checked(data)


def checked(data: bytes) -> bytes | None:
    """A memo's value from its file's bytes, or None when they are damaged."""
    value = data[65:]
    return value if data[:65] == hashlib.sha256(value).hexdigest().encode() + b"\n" else None


def hash_file(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _has(name: str, size: int) -> bool:
    # The size tells a file whose blocks were lost in a power failure: it was renamed, but never synced.
    try:
        return os.stat(name).st_size == size  # noqa: PTH116
    except FileNotFoundError:
        return False


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while len(view):
        view = view[os.write(file, view) :]
