"""Copying: files and folders between this machine and an instance; ``carrying`` is how."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Literal

from msgspec import Struct

from oslet.codec import decode
from oslet.errors import RunError
from oslet.run import carrying, client, records, wire

_LONGEST = 2000
_LISTED = 16 << 20
"""Bytes of a listing."""


def fetch(state: Path, ref: str, path: str, into: Path | IO[bytes]) -> str:
    """Copy ``path`` of an instance into a folder, or to a path that is to be; or its tar to an open file. What was left
    out, for a person. RunError."""
    reading, writing = os.pipe()
    with (
        _carried(state, wire.Carry(ref, _inside(path), into=False), reading, writing) as said,
        _own_words(),
        os.fdopen(reading, "rb") as stream,
    ):
        if isinstance(into, Path):
            carrying.unpack(stream, into)
        else:
            while block := stream.read(1 << 16):
                into.write(block)
            into.flush()
    return said[0] if said else ""


def put(state: Path, ref: str, source: Path | IO[bytes], path: str) -> str:
    """Copy a file or folder, or a tar stream, to ``path`` of an instance. It belongs to the service's user there."""
    reading, writing = os.pipe()
    with (
        _carried(state, wire.Carry(ref, _inside(path), into=True), writing, reading) as said,
        _own_words(),
        _whole(writing) as stream,
    ):
        if isinstance(source, Path):
            carrying.pack(str(source), stream)
        else:
            while block := source.read(1 << 16):
                stream.write(block)
    return said[0] if said else ""


class Entry(Struct, frozen=True):
    """One file of an instance: what it is, bytes, permission bits, whose it is in there, and when it was modified
    (POSIX seconds); of a link, where it leads."""

    name: str
    kind: Literal["file", "dir", "link", "other"]
    size: int
    mode: int
    uid: int
    gid: int
    modified: float
    target: str


def entries(state: Path, ref: str, path: str) -> tuple[Entry, ...]:
    """What is at ``path`` of an instance: itself, and then, if it is a folder, what is in it. RunError."""
    if records.find(state, ref)[1].vmm:
        return _packed(state, ref, path)
    reading, writing = os.pipe()
    with (
        _carried(state, wire.Carry(ref, _inside(path), into=False, only="list"), reading, writing),
        os.fdopen(reading, "rb") as stream,
    ):
        text = stream.read(_LISTED)
    return decode(text, tuple[Entry, ...], where=path)


def read(state: Path, ref: str, path: str, *more: str) -> bytes:
    """A file of a guest's, or a folder's names with a newline behind each, and ``more`` of them after it; the first
    megabytes of all. RunError, too, if one of them isn't there."""
    reading, writing = os.pipe()
    with (
        _carried(state, wire.Carry(ref, _inside(path), into=False, only="read", more=more), reading, writing),
        os.fdopen(reading, "rb") as stream,
    ):
        text = stream.read(_LISTED)
        while stream.read(1 << 16):
            pass
    return text


def _packed(state: Path, ref: str, path: str) -> tuple[Entry, ...]:
    """The same of a guest, whose agent lists nothing: by the heads of its tar; what is in the files is thrown away."""
    import tarfile

    kinds: dict[bytes, Literal["file", "dir", "link", "other"]] = {
        tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "link",
    }  # fmt: skip
    found: list[Entry] = []
    reading, writing = os.pipe()
    with (
        _carried(state, wire.Carry(ref, _inside(path), into=False), reading, writing),
        os.fdopen(reading, "rb") as stream,
    ):
        try:
            with tarfile.open(fileobj=stream, mode="r|", errors="replace") as tar:
                for member in tar:
                    tar.members = []  # type: ignore[attr-defined]
                    depth = member.name.strip("/").count("/")
                    if depth > 1 or len(found) > carrying.LISTED:
                        continue
                    name = member.name.rpartition("/")[2] if depth or not member.isdir() else "."
                    kind = kinds.get(member.type, "other")
                    size, owner = member.size if kind == "file" else 0, (member.uid, member.gid)
                    found.append(Entry(name, kind, size, member.mode, *owner, float(member.mtime), member.linkname))
        except tarfile.TarError:
            pass  # the agent says why
        while stream.read(1 << 16):
            pass
    return tuple(sorted(found, key=lambda entry: (entry.name != ".", entry.name)))


def erase(state: Path, ref: str, path: str, *, whole: bool = False) -> None:
    """Remove a file or an empty folder of an instance; or, ``whole``, a folder with all that is in it. RunError."""
    reading, writing = os.pipe()
    asked = wire.Carry(ref, _inside(path), into=False, only="remove-folder" if whole else "remove")
    with _carried(state, asked, reading, writing), os.fdopen(reading, "rb") as stream:
        stream.read(_LISTED)


@contextmanager
def _whole(writing: int) -> Iterator[IO[bytes]]:
    """The carrier's input. If it reads no further, it says why itself."""
    with suppress(BrokenPipeError), os.fdopen(writing, "wb") as stream:
        yield stream


def _inside(path: str) -> str:
    if "\0" in path:
        raise RunError("a path holds no NUL byte", where=path)
    return path if path.startswith("/") else f"/{path}"


@contextmanager
def _own_words() -> Iterator[None]:
    try:
        yield
    except carrying.CarryError as error:
        raise RunError(str(error)) from None
    except OSError as error:
        raise RunError(f"it can't be copied: {error.strerror}", where=str(error.filename or "")) from None


@contextmanager
def _carried(state: Path, request: wire.Carry, ours: int, theirs: int) -> Iterator[list[str]]:
    """The carrier at work while this block runs, with its end of a pipe and /dev/null. What it said is known after it.

    Its error goes before the block's: that one's may only be what follows from it."""
    hears, says = os.pipe()
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    given = (theirs, null, says) if request.into else (null, theirs, says)
    said: list[str] = []
    try:
        try:
            connection = client.connect(state)
            wire.send(connection, request, given)
        except BaseException:
            os.close(ours)
            raise
        finally:
            for fd in given:
                os.close(fd)
        with connection:
            failure: BaseException | None = None
            try:
                yield said
            except BaseException as error:
                failure = error
            words = _read(hears)
            try:
                reply, _ = client.answer(connection)
            except ConnectionError:
                raise RunError("the supervisor was killed while it copied", hint="copy again") from None
            if isinstance(reply, wire.Ended) and reply.code and not isinstance(failure, KeyboardInterrupt):
                raise RunError(words or "the copy was not finished", where=request.path) from None
            if failure:
                raise failure
            said.append(words)
    finally:
        os.close(hears)


def _read(hears: int) -> str:
    text = b""
    while len(text) < _LONGEST and (block := os.read(hears, _LONGEST)):
        text += block
    return text.decode("utf-8", "replace").strip()
