"""Debian packages: an ar archive of two tars (deb(5)); xz, zstd, gzip, bzip2 or plain."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from oslet.errors import IntegrityError
from oslet.formats import tar
from oslet.formats.tar import Limits, Member

MAX_CONTROL = 16 << 20
"""Bytes of all control members of one package; the largest known (kernel headers' md5sums) have a few MiB."""
FREE = 256 << 20
RATIO = 250
"""What a package may unpack to: so many bytes, and so many more for each of its own. Of 589 packages measured none
grew by more than 71; a stream of zeros grows by seven thousand (xz) and more."""

_USUAL = Limits()
_MAGIC = b"!<arch>\n"
_MAX_PARTS = 16
_XZ_MEMORY = 192 << 20
"""What one xz stream may make the decoder allocate; ``xz -9`` needs 65 MiB."""
_ERRORS: tuple[type[Exception], ...] = (OSError, ValueError, EOFError, MemoryError)
_PIECE = 64 << 10
_OUT = 256 << 10


class Part(NamedTuple):
    """One member of an ar archive: its name, and its place and size in the file in bytes."""

    name: str
    at: int
    size: int


def parts(stream: IO[bytes], *, where: str) -> list[Part]:
    """The members of an ar archive, at most 16; raises IntegrityError."""
    end = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise IntegrityError("not a Debian package (no ar archive)", where=where)
    found: list[Part] = []
    at = len(_MAGIC)
    while at < end:
        stream.seek(at)
        header = stream.read(60)
        size = header[48:58].strip(b" ")
        if len(header) < 60 or header[58:] != b"`\n" or not size.isdigit():
            raise IntegrityError("an ar header is damaged", where=where)
        name = header[:16].rstrip(b" ").removesuffix(b"/").decode("ascii", "replace")
        part = Part(name, at + 60, int(size))
        if part.at + part.size > end:
            raise IntegrityError(f"the package ends within {name}", where=where)
        if len(found) == _MAX_PARTS:
            raise IntegrityError(f"more than {_MAX_PARTS} parts", where=where)
        found.append(part)
        at = part.at + part.size + part.size % 2
    return found


def control(deb: Path) -> dict[str, bytes]:
    """The control members of a package by name: ``control``, ``postinst``, ``md5sums``, …; raises IntegrityError."""
    found: dict[str, bytes] = {}
    limits = Limits(members=10_000, size=MAX_CONTROL)
    for member, content in _tar(deb, "control.tar", limits):
        if member.kind == "file":
            found[member.path.lstrip("/")] = b"".join(content)
    if "control" not in found:
        raise IntegrityError("the package has no control file", where=deb.name)
    return found


def members(deb: Path, limits: Limits = _USUAL) -> Iterator[tuple[Member, Iterator[bytes]]]:
    """What a package unpacks, as ``tar.read`` gives it: in archive order, streamed; raises IntegrityError."""
    return _tar(deb, "data.tar", limits)


def _tar(deb: Path, wanted: str, limits: Limits) -> Iterator[tuple[Member, Iterator[bytes]]]:
    with deb.open("rb") as file:
        found = parts(file, where=deb.name)
        if not found or found[0].name != "debian-binary":
            raise IntegrityError("not a Debian package (no debian-binary first)", where=deb.name)
        file.seek(found[0].at)
        version = file.read(min(found[0].size, 16))
        if not version.startswith(b"2."):
            raise IntegrityError(f"a Debian package of format {version[:8]!r}, not 2.0", where=deb.name)
        part = next((p for p in found if p.name == wanted or p.name.startswith(wanted + ".")), None)
        if part is None:
            raise IntegrityError(f"the package has no {wanted}", where=deb.name)
        where = f"{deb.name}: {part.name}"
        limits = limits._replace(size=min(limits.size, FREE + RATIO * part.size))
        file.seek(part.at)
        yield from tar.read(_Inflated(file, part, where, limits), where=where, limits=limits)


class _Inflated:
    """One part, decompressed as it is read, in pieces of at most 256 KiB."""

    def __init__(self, file: IO[bytes], part: Part, where: str, limits: Limits) -> None:
        self._file = file
        self._left = part.size
        self._suffix = part.name.partition(".tar")[2]
        self._where = where
        self._allowed = limits.size + min(limits.members * 3 * tar.BLOCK, FREE + RATIO * part.size)
        self._engine: Any = None if not self._suffix else _engine(self._suffix, where)
        self._waiting = b""

    def read(self, size: int, /) -> bytes:
        data = self._piece()
        self._allowed -= len(data)
        if self._allowed < 0:
            raise IntegrityError("the package unpacks to more than a package may hold", where=self._where)
        return data

    def _compressed(self) -> bytes:
        data = self._file.read(min(_PIECE if self._engine else _OUT, self._left))
        self._left -= len(data)
        return data

    def _piece(self) -> bytes:
        if self._engine is None:
            return self._compressed()
        while True:
            if self._engine.eof:
                rest = self._engine.unused_data or self._waiting or self._compressed()
                self._waiting = b""
                if not rest.strip(b"\0"):  # stream padding
                    if self._left:
                        continue
                    return b""
                self._engine = _engine(self._suffix, self._where)  # several streams in one part
                self._waiting = rest
            feed = self._waiting if self._waiting or not self._engine.needs_input else self._compressed()
            self._waiting = b""
            starved = not feed and self._engine.needs_input
            try:
                data: bytes = self._engine.decompress(feed, _OUT)
            except _engine_errors(self._suffix) as error:
                raise IntegrityError(f"can't be decompressed: {error}", where=self._where) from None
            if data:
                return data
            if starved and not self._engine.eof:
                raise IntegrityError("the package's data end too early", where=self._where)


def _engine(suffix: str, where: str) -> Any:
    """A decompressor with the interface of lzma's: decompress(data, max_length), eof, needs_input, unused_data."""
    if suffix == ".xz":
        import lzma

        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    if suffix == ".zst":
        return _zstd().ZstdDecompressor()
    if suffix == ".gz":
        return _Gzip()
    if suffix == ".bz2":
        import bz2

        return bz2.BZ2Decompressor()
    raise IntegrityError(f"compressed in an unknown way ({suffix})", where=where)


def _engine_errors(suffix: str) -> tuple[type[Exception], ...]:
    if suffix == ".xz":
        import lzma

        return lzma.LZMAError, *_ERRORS
    if suffix == ".zst":
        return _zstd().ZstdError, *_ERRORS
    if suffix == ".gz":
        import zlib

        return zlib.error, *_ERRORS
    return _ERRORS


def _zstd() -> Any:
    import sys

    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


class _Gzip:
    """zlib's decompressor with lzma's interface."""

    def __init__(self) -> None:
        import zlib

        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
