"""The compression of layers: a sink that digests what it is given, and a bounded reader of foreign blobs.

gzip is isal's level 2, fifteen times quicker than zlib's default for 14 % more bytes (DESIGN §9); zstd is level 3.
Equal input gives equal bytes for one version of the library, which ``version`` names.
"""

from __future__ import annotations

import hashlib
import io
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, cast

from oslet.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined,unused-ignore]

Compression: TypeAlias = Literal["gzip", "zstd", "none"]

_GZIP_LEVEL = 2
_ZSTD_LEVEL = 3
_FREE = 256 << 20
_RATIO = 250


class Digests(NamedTuple):
    """What was written: sha256 and size of the blob as stored, and sha256 of the tar within (its diff id)."""

    blob: str
    size: int
    diff: str


def sniff(start: bytes) -> Compression:
    """How what begins with these four bytes is compressed (RFC 1952, RFC 8878)."""
    if start[:2] == b"\x1f\x8b":
        return "gzip"
    return "zstd" if start == b"\x28\xb5\x2f\xfd" else "none"


def most(size: int) -> int:
    """Bytes that a foreign blob of ``size`` bytes may unpack to: a real layer shrinks to a tenth, seldom to a fiftieth;
    gzip can make a thousandth of zeros, and zstd less."""
    return _FREE + _RATIO * size


def version(compression: Compression) -> str:
    """What decides the compressor's output: its name, level and library version."""
    if compression == "gzip":
        import isal

        return f"isal {isal.__version__} level {_GZIP_LEVEL}"
    if compression == "zstd":
        return f"zstd {_zstd().zstd_version} level {_ZSTD_LEVEL}"
    return "none"


class Sink(io.RawIOBase):
    """A stream that compresses what is written into ``file`` and digests both sides; ``digests`` once closed."""

    def __init__(self, file: IO[bytes], compression: Compression) -> None:
        super().__init__()
        self._out = _Counted(file)
        self._plain = hashlib.sha256()
        self._into: Any = _compressor(self._out, compression)

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        self._plain.update(data)
        self._into.write(cast(bytes, data))
        return len(memoryview(data))

    def digests(self) -> Digests:
        """Ends the blob and says what it is."""
        if self._into is not self._out:
            self._into.close()
        return Digests(self._out.sha256.hexdigest(), self._out.size, self._plain.hexdigest())


class _Counted(io.RawIOBase):
    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer) -> int:
        self.sha256.update(data)
        length = len(memoryview(data))
        self.size += length
        self._file.write(data)
        return length


def _compressor(out: _Counted, compression: Compression) -> Any:
    if compression == "gzip":
        from isal import igzip

        gzip: Any = igzip.IGzipFile
        return gzip(filename="", fileobj=out, mode="wb", compresslevel=_GZIP_LEVEL, mtime=0)
    if compression == "zstd":
        return _zstd().ZstdFile(out, "w", level=_ZSTD_LEVEL)
    return out


class Unpacked(io.RawIOBase):
    """The tar within a foreign blob: at most ``limit`` bytes, digested as they pass.

    ``finish`` reads what the tar's reader left (padding) and raises IntegrityError unless the whole is ``diff``.
    """

    def __init__(self, file: IO[bytes], compression: str, *, limit: int, where: str) -> None:
        super().__init__()
        self._from = _decompressor(file, compression)
        self._left = limit
        self._where = where
        self._sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        wanted = 1 << 20 if size is None or size < 0 else min(size, 1 << 20)
        try:
            data: bytes = self._from.read(wanted)
        except (OSError, EOFError, ValueError, _zstd().ZstdError, _isal_error()) as error:
            raise IntegrityError(f"the layer can't be decompressed: {error}", where=self._where) from None
        self._left -= len(data)
        if self._left < 0:
            raise IntegrityError("the layer unpacks to more than its image may hold", where=self._where)
        self._sha256.update(data)
        return data

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def finish(self, diff: str) -> None:
        while self.read(1 << 20):
            pass
        if self._sha256.hexdigest() != diff:
            raise IntegrityError("the layer's content is not what the image's config says", where=self._where)


def _decompressor(file: IO[bytes], compression: str) -> Any:
    if compression == "gzip":
        from isal import igzip

        gzip: Any = igzip.IGzipFile
        return gzip(fileobj=file, mode="rb")
    if compression == "zstd":
        return _zstd().ZstdFile(file, "r")
    return file


def _isal_error() -> type[Exception]:
    from isal import isal_zlib

    return cast("type[Exception]", isal_zlib.error)


def _zstd() -> Any:
    import sys

    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd
