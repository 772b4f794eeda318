"""Reading foreign tar archives within bounds, and writing deterministic ones.

Formats: POSIX ustar and pax (pax(1), "ustar Interchange Format" and "pax Header Block"), and the GNU long names
(``L`` and ``K``) that Debian's packages hold. Sparse files are refused, and so are devices and FIFOs, unless they
are to be passed over: an instance has its own /dev.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO, Literal, NamedTuple, Protocol, TypeAlias

from oslet.errors import IntegrityError

MemberKind: TypeAlias = Literal["file", "dir", "link", "hardlink"]

BLOCK = 512
_CHUNK = 256 << 10
_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_KINDS: dict[bytes, MemberKind] = {
    b"\0": "file",
    b"0": "file",
    b"7": "file",
    b"1": "hardlink",
    b"2": "link",
    b"5": "dir",
}
_SPECIAL = (b"3", b"4", b"6")
_REFUSED = {b"3": "a character device", b"4": "a block device", b"6": "a FIFO", b"S": "a sparse file"}
_XATTR = "SCHILY.xattr."
_MAX_OCTAL = 0o77777777777
_MAX_ID = 0o7777777


class Member(NamedTuple):
    """One path of an archive.

    ``path`` is absolute and normal (``/usr/bin/x``; ``/`` is the root itself). ``mode`` holds the bits 07777, ``size``
    is in bytes, ``mtime`` in POSIX seconds. ``target`` is a symbolic link's text as it stands, or the absolute normal
    path of the member that a hard link shares its content with. ``xattrs`` are extended attributes, sorted by name.
    """

    path: str
    kind: MemberKind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    target: str = ""
    mtime: int = 0
    xattrs: tuple[tuple[str, bytes], ...] = ()


class Limits(NamedTuple):
    """How much of a foreign archive is read before it is refused: counts, and sizes in bytes."""

    members: int = 500_000
    size: int = 32 << 30
    """The sum of all files' sizes."""
    path: int = 3072
    names: int = 128 << 20
    """Characters of all paths and targets together, since whoever reads an archive keeps them."""
    extension: int = 1 << 20
    """All long names and pax headers of one member."""


class Readable(Protocol):
    """What a tar is read from: pieces of any length up to ``size``, empty at the end."""

    def read(self, size: int, /) -> bytes: ...


_USUAL = Limits()


def read(
    stream: Readable, *, where: str, limits: Limits = _USUAL, pass_special: bool = False
) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """The members of a tar with each one's content in chunks; content not taken is skipped.

    Raises IntegrityError, located at ``where`` and the member, for whatever is not a whole, plain, bounded archive:
    bad checksums, truncation, paths that escape or hold control characters, devices (``pass_special`` skips them).
    """
    source = _Source(stream, where)
    extended: dict[str, bytes] = {}
    total = count = named = extending = 0
    while True:
        header = source.exactly(BLOCK, "a header") if source.more() else b""
        if not header or not header.strip(b"\0"):
            return
        count += 1
        if count > limits.members:
            raise IntegrityError(f"more than {limits.members} members", where=where)
        fields = _HEADER.unpack(header)
        if sum(header) - sum(header[148:156]) + 256 != _number(fields[6], where):
            raise IntegrityError("a tar header's checksum is wrong", where=where)
        type_ = fields[7]
        if type_ in b"LKxg":
            size = _number(fields[4], where)
            extending += size
            if extending > limits.extension:
                raise IntegrityError(f"tar headers of {extending} bytes for one member", where=where)
            data = source.exactly(size, "a long header")
            source.skip(-size % BLOCK)
            extended.update(_extension(type_, data, where))
            continue
        if pass_special and type_ in _SPECIAL:
            extended = {}
            continue
        member = _member(fields, type_, extended, where, limits)
        extended, extending = {}, 0
        named += len(member.path) + len(member.target)
        if named > limits.names:
            raise IntegrityError(f"the paths are over {limits.names} characters", where=where)
        total += member.size
        if total > limits.size:
            raise IntegrityError(f"the files are over {limits.size} bytes", where=f"{where}: {member.path}")
        content = source.content(member.size)
        yield member, content
        for _ in content:
            pass
        source.skip(-member.size % BLOCK)


def _member(fields: tuple[bytes, ...], type_: bytes, extended: dict[str, bytes], where: str, limits: Limits) -> Member:
    name = _until_nul(fields[0])
    if fields[9] == b"ustar\0" and (prefix := _until_nul(fields[15])):
        name = prefix + b"/" + name
    name = extended.get("path", name)
    path = normal(name, where, limits.path)
    located = f"{where}: {path}"
    if type_ not in _KINDS:
        raise IntegrityError(f"holds {_REFUSED.get(type_, f'a member of type {type_!r}')}", where=located)
    kind = _KINDS[type_]
    if kind == "file" and name.endswith(b"/"):
        kind = "dir"  # how archives before POSIX wrote folders
    if any(key.startswith("GNU.sparse.") for key in extended):
        raise IntegrityError("holds a sparse file", where=located)
    target = ""
    raw_target = extended.get("linkpath", _until_nul(fields[8]))
    if kind == "hardlink":
        target = normal(raw_target, located, limits.path)
    elif kind == "link":
        target = _text(raw_target, located, limits.path)
        if not target:
            raise IntegrityError("a link that leads nowhere", where=located)

    def number(index: int, key: str) -> int:
        return _decimal(extended[key], located) if key in extended else _number(fields[index], located)

    return Member(
        path=path,
        kind=kind,
        mode=_number(fields[1], located) & 0o7777,
        uid=number(2, "uid"),
        gid=number(3, "gid"),
        size=number(4, "size") if kind == "file" else 0,
        target=target,
        mtime=number(5, "mtime"),
        xattrs=tuple(sorted((k[len(_XATTR) :], v) for k, v in extended.items() if k.startswith(_XATTR))),
    )


def normal(name: bytes, where: str, limit: int = 4096) -> str:
    """The absolute normal path that an archive's ``name`` means; IntegrityError if it escapes or can't be a path."""
    text = _text(name, where, limit)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise IntegrityError(f"the path {text[:200]!r} leaves the archive", where=where)
    if not text or any(len(part) > 255 for part in parts):
        raise IntegrityError(f"{text[:80]!r} can't be a path", where=where)
    return "/" + "/".join(parts)


def _text(data: bytes, where: str, limit: int) -> str:
    if len(data) > limit:
        raise IntegrityError(f"a path of {len(data)} bytes", where=where)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise IntegrityError(f"the path {data[:80]!r} is not UTF-8", where=where) from None
    if not text.isprintable() and any(c < " " or c == "\x7f" for c in text):
        raise IntegrityError(f"the path {text[:80]!r} holds control characters", where=where)
    return text


def _until_nul(field: bytes) -> bytes:
    end = field.find(b"\0")
    return field if end < 0 else field[:end]


def _number(field: bytes, where: str) -> int:
    if field[0] == 0x80:  # GNU's base 256, for what octal can't hold; negative ones (0xff) are refused below
        value = int.from_bytes(field[1:], "big")
    else:
        digits = field.strip(b" \0")
        if not digits:
            return 0
        try:
            value = int(digits, 8) if digits.isdigit() else -1
        except ValueError:
            value = -1
    if not 0 <= value < 1 << 63:
        raise IntegrityError(f"{field[:16]!r} is not a tar's number", where=where)
    return value


def _decimal(value: bytes, where: str) -> int:
    whole = value.partition(b".")[0]  # times may have a fraction, and be before 1970
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 18:
        raise IntegrityError(f"{value[:40]!r} is not a pax number", where=where)
    return 0 if whole != digits else int(whole)


def _extension(type_: bytes, data: bytes, where: str) -> dict[str, bytes]:
    if type_ == b"L":
        return {"path": _until_nul(data)}
    if type_ == b"K":
        return {"linkpath": _until_nul(data)}
    if type_ == b"g":  # global headers hold comments (git) or defaults that nobody writes
        return {}
    found: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 8)
        length = int(data[at:space]) if space > 0 and data[at:space].isdigit() else 0
        record = data[space + 1 : at + length]
        key, equals, value = record[:-1].partition(b"=")
        if length < 5 or at + length > len(data) or record[-1:] != b"\n" or not equals:
            raise IntegrityError("a pax header is not as POSIX has it", where=where)
        try:
            found[key.decode()] = value
        except UnicodeDecodeError:
            raise IntegrityError("a pax header is not UTF-8", where=where) from None
        at += length
    return found


class _Source:
    """A stream read in large pieces and handed out exactly."""

    def __init__(self, stream: Readable, where: str) -> None:
        self._stream = stream
        self._where = where
        self._buffer = b""
        self._at = 0

    def more(self) -> bool:
        if self._at == len(self._buffer):
            self._buffer, self._at = self._stream.read(_CHUNK), 0
        return bool(self._buffer)

    def exactly(self, size: int, what: str) -> bytes:
        start = self._at
        if start + size <= len(self._buffer):
            self._at = start + size
            return self._buffer[start : start + size]
        data = b"".join(self._pieces(size))
        if len(data) < size:
            raise IntegrityError(f"the archive ends within {what}", where=self._where)
        return data

    def content(self, size: int) -> Iterator[bytes]:
        """The next ``size`` bytes; the iterator may be left unfinished and run on later."""
        if not size:
            return iter(())
        if self._at + size <= len(self._buffer):
            return iter((self.exactly(size, "a file"),))
        return self._whole(size)

    def _whole(self, size: int) -> Iterator[bytes]:
        got = 0
        for piece in self._pieces(size):
            got += len(piece)
            yield piece
        if got < size:
            raise IntegrityError("the archive ends within a file", where=self._where)

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size and self.more():
            piece = self._buffer[self._at : self._at + size]
            self._at += len(piece)
            size -= len(piece)
            yield piece

    def skip(self, size: int) -> None:
        if size:
            self.exactly(size, "its padding")


class Writer:
    """Writes a deterministic tar: the bytes follow from the members alone, in the order they are added.

    ustar headers; a pax header (with nothing but what is needed) for paths, sizes, ids and extended attributes that
    ustar can't hold. Names of users are left out, as ids are what count.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def add(self, member: Member, chunks: Iterable[bytes] = ()) -> None:
        """Appends ``member``; raises ValueError unless ``chunks`` make exactly its size."""
        size = member.size if member.kind == "file" else 0
        name = _stored_name(member)
        target = member.target.encode()
        if member.kind == "hardlink":
            target = target.lstrip(b"/")
        prefix, short = _split(name)
        pax: dict[str, bytes] = {f"{_XATTR}{key}": value for key, value in member.xattrs}
        if short is None:
            pax["path"], prefix, short = name, b"", name[:100]
        if len(target) > 100:
            pax["linkpath"], target = target, target[:100]
        for key, value, most in (
            ("uid", member.uid, _MAX_ID),
            ("gid", member.gid, _MAX_ID),
            ("size", size, _MAX_OCTAL),
            ("mtime", member.mtime, _MAX_OCTAL),
        ):
            if value > most:
                pax[key] = str(value).encode()
        if pax:
            body = b"".join(_record(key, pax[key]) for key in sorted(pax))
            self._stream.write(_header(b"././@PaxHeader", b"", b"x", 0o644, 0, 0, len(body), 0, b""))
            self._padded(chain((body,)), len(body))
        type_ = {"file": b"0", "hardlink": b"1", "link": b"2", "dir": b"5"}[member.kind]
        mode = 0o777 if member.kind == "link" else member.mode
        uid, gid, mtime = (0 if key in pax else v for key, v in zip(("uid", "gid", "mtime"), _numbers(member)))
        length = 0 if "size" in pax else size
        self._stream.write(_header(short, prefix, type_, mode, uid, gid, length, mtime, target))
        self._padded(iter(chunks), size)

    def close(self) -> None:
        """Ends the archive: two blocks of zeros. Leaves the stream open."""
        self._stream.write(bytes(2 * BLOCK))

    def _padded(self, chunks: Iterator[bytes], size: int) -> None:
        written = 0
        for chunk in chunks:
            written += len(chunk)
            if written > size:
                break
            self._stream.write(chunk)
        if written != size:
            raise ValueError(f"the content is not the {size} bytes that were promised")
        self._stream.write(bytes(-size % BLOCK))


def _numbers(member: Member) -> tuple[int, int, int]:
    return member.uid, member.gid, member.mtime


def _stored_name(member: Member) -> bytes:
    name = member.path.lstrip("/").encode()
    if member.kind == "dir":
        return name + b"/" if name else b"./"
    return name


def _split(name: bytes) -> tuple[bytes, bytes | None]:
    """ustar's prefix and name; no name when they can't hold it."""
    if len(name) <= 100:
        return b"", name
    cut = name.find(b"/", len(name) - 101, len(name) - 1)
    if 0 < cut <= 155:
        return name[:cut], name[cut + 1 :]
    return b"", None


def _record(key: str, value: bytes) -> bytes:
    rest = b" " + key.encode() + b"=" + value + b"\n"
    length = len(rest)
    while length != len(str(length)) + len(rest):
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _header(
    name: bytes, prefix: bytes, type_: bytes, mode: int, uid: int, gid: int, size: int, mtime: int, target: bytes
) -> bytes:
    head = b"%s%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(100, b"\0"), mode, uid, gid, size, mtime)
    tail = b"%s%sustar\x0000%s%07o\0%07o\0%s" % (
        type_,
        target.ljust(100, b"\0"),
        bytes(64),
        0,
        0,
        prefix.ljust(167, b"\0"),
    )
    return b"%s%06o\0 %s" % (head, sum(head) + sum(tail) + 8 * 32, tail)
