"""Wheels: the parts of a hostile zip, each with its place in an installation and checked against RECORD.

The format is the PyPA specification "Binary distribution format" (PEP 427, PEP 491); RECORD is that of "Recording
installed projects" (PEP 376, PEP 627). The small files' syntaxes are read by the PyPA ``installer`` library.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from oslet.errors import IntegrityError

CHUNK = 1 << 18
SCHEMES = ("purelib", "platlib", "headers", "scripts", "data")
HASHES = {"sha256": 32, "sha384": 48, "sha512": 64}
"""Digests that RECORD may use, with their sizes in bytes; the specification asks for sha256 or better."""
UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")
MAX_PATH = 1024
MAX_NAME = 255
"""Bytes of a member's path, and of one name in it: what file systems hold."""


class Limits(NamedTuple):
    """How much of a wheel is read: members, bytes of one member, of all, of one text, and of all per byte of wheel."""

    members: int = 100_000
    member: int = 2 << 30
    total: int = 6 << 30
    text: int = 16 << 20
    small: int = 256 << 10
    """Bytes of WHEEL and of the entry points, which are parsed into objects many times their size."""
    ratio: int = 200
    slack: int = 64 << 20
    """Bytes that ``ratio`` allows on top, for small wheels of well-packed text."""


class Part(NamedTuple):
    """One file of a wheel: where it stands in the zip, its scheme (purelib, …) and its path there, size in bytes."""

    member: str
    scheme: str
    path: str
    size: int
    executable: bool
    hash: str
    """As RECORD writes it, ``sha256=…``; empty for RECORD itself and its signatures."""


class Script(NamedTuple):
    """A command that an entry point makes: ``module:attribute`` is called."""

    name: str
    module: str
    attribute: str


class WheelFile:
    """One open wheel. Every method raises IntegrityError for what a wheel mustn't hold; make it with ``open_wheel``."""

    def __init__(self, archive: zipfile.ZipFile, file: str, size: int, limits: Limits) -> None:
        from packaging.utils import InvalidWheelFilename, parse_wheel_filename

        self._zip = archive
        self._limits = limits
        self.file = file
        self._members = {info.filename: info for info in self._checked(archive.infolist(), size)}
        try:
            self.name, _, _, _ = parse_wheel_filename(file)
        except InvalidWheelFilename as error:
            raise IntegrityError(str(error), where=file) from None
        folders = {name.partition("/")[0] for name in self._members if "/" in name}
        infos = sorted(f for f in folders if f.endswith(".dist-info"))
        if len(infos) != 1 or _owner(infos[0]) != self.name:
            raise self._wrong(f"not the one .dist-info folder of {self.name}: {', '.join(infos[:3]) or 'none'}")
        self.dist_info = infos[0]
        data = sorted(f for f in folders if f.endswith(".data"))
        if len(data) > 1 or (data and _owner(data[0]) != self.name):
            raise self._wrong(f"not the .data folder of {self.name}: {data[0]}")
        self._data = data[0] if data else ""

    def parts(self) -> tuple[Part, ...]:
        """Every file, in the zip's order, each recorded; RECORD and its signatures are left out."""
        root = self._root_scheme()
        record = self._record()
        found = []
        for name, info in self._members.items():
            folder, _, rest = name.partition("/")
            if folder == self.dist_info and rest in UNRECORDED:
                continue
            if name not in record:
                raise self._wrong("isn't in RECORD", name)
            digest, size = record[name]
            if size is not None and size != info.file_size:
                raise self._wrong(f"has {info.file_size} bytes, RECORD says {size}", name)
            scheme, path = root, name
            if folder == self._data and rest:
                scheme, _, path = rest.partition("/")
                if scheme not in SCHEMES or not path:
                    raise self._wrong(f"stands in no known part of {self._data}", name)
            mode = info.external_attr >> 16
            found.append(Part(name, scheme, path, info.file_size, bool(mode & 0o111), digest))
        return tuple(found)

    def chunks(self, part: Part) -> Iterator[bytes]:
        """The content of ``part``; raises IntegrityError at its end when it isn't what RECORD says."""
        name, _, expected = part.hash.partition("=")
        hasher = hashlib.new(name)
        for chunk in self._stream(part.member):
            hasher.update(chunk)
            yield chunk
        if base64.urlsafe_b64encode(hasher.digest()).decode().rstrip("=") != expected:
            raise self._wrong("isn't what RECORD says", part.member)

    def text(self, name: str, limit: int = 0) -> str | None:
        """A text of the .dist-info folder, of at most ``limit`` bytes if given; None when there is none."""
        member = f"{self.dist_info}/{name}"
        if member not in self._members:
            return None
        if self._members[member].file_size > (limit or self._limits.text):
            raise self._wrong("is too large", member)
        try:
            return b"".join(self._stream(member)).decode("utf-8")
        except UnicodeDecodeError:
            raise self._wrong("isn't UTF-8", member) from None

    def scripts(self) -> tuple[Script, ...]:
        """The console and GUI entry points, which an installer makes commands of, sorted by name."""
        import configparser

        from installer.utils import parse_entrypoints

        text = self.text("entry_points.txt", self._limits.small)
        try:
            found = [Script(name, module, attr) for name, module, attr, _ in parse_entrypoints(text or "")]
        except (configparser.Error, AssertionError, ValueError):
            raise self._wrong("can't be read", f"{self.dist_info}/entry_points.txt") from None
        for script in found:
            named = re.fullmatch(r"[^\s/\\\x00-\x1f\x7f]+", script.name) and len(script.name.encode()) <= MAX_NAME
            if not named or script.name in (".", ".."):
                raise self._wrong(f"{script.name!r} is no name for a command", f"{self.dist_info}/entry_points.txt")
            if not all(part.isidentifier() for part in f"{script.module}.{script.attribute}".split(".")):
                raise self._wrong(f"{script.name} calls no Python name", f"{self.dist_info}/entry_points.txt")
        return tuple(sorted(found))

    def _checked(self, infos: Sequence[zipfile.ZipInfo], size: int) -> Iterator[zipfile.ZipInfo]:
        limits = self._limits
        if len(infos) > limits.members:
            raise self._wrong(f"holds {len(infos)} files, more than {limits.members}")
        total = sum(info.file_size for info in infos)
        if total > min(limits.total, limits.slack + size * limits.ratio):
            raise self._wrong(f"unpacks to {total} bytes, too many for its {size}")
        seen: set[str] = set()
        folders: set[str] = set()
        for info in infos:
            name = info.filename
            parts = name.removesuffix("/").split("/")
            if info.orig_filename != name or "\\" in name or any(p in ("", ".", "..") for p in parts):
                raise self._wrong("leads out of the wheel or isn't normal", info.orig_filename)
            if any(ord(c) < 32 or ord(c) == 127 or 0xD800 <= ord(c) < 0xE000 for c in name):
                raise self._wrong("has control characters in its name", name)
            if len(name.encode()) > MAX_PATH or any(len(part.encode()) > MAX_NAME for part in parts):
                raise self._wrong("has too long a name", name)
            if info.flag_bits & 0x1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise self._wrong("is encrypted, or packed in a way that wheels aren't", name)
            folders.update("/".join(parts[:n]) for n in range(1, len(parts)))
            kind = stat.S_IFMT(info.external_attr >> 16)
            if name.endswith("/"):
                folders.add(name.rstrip("/"))
                continue
            if kind not in (0, stat.S_IFREG):
                raise self._wrong("is a link or a device", name)
            if info.file_size > limits.member:
                raise self._wrong("is too large", name)
            if name in seen:
                raise self._wrong("stands there twice", name)
            seen.add(name)
            yield info
        if clash := sorted(seen & folders):
            raise self._wrong("is a file and a folder", clash[0])

    def _root_scheme(self) -> str:
        from installer.utils import parse_metadata_file

        text = self.text("WHEEL", self._limits.small)
        if text is None:
            raise self._wrong("there is no WHEEL file", self.dist_info)
        message = parse_metadata_file(text)
        version = str(message["Wheel-Version"] or "")
        if not version.startswith("1."):
            raise self._wrong(f"wheel version {version or 'unknown'}, only 1.x is known", f"{self.dist_info}/WHEEL")
        return "purelib" if message["Root-Is-Purelib"] == "true" else "platlib"

    def _record(self) -> dict[str, tuple[str, int | None]]:
        """RECORD as member → (hash, size or None)."""
        import csv

        from installer.records import InvalidRecordEntry, parse_record_file

        where = f"{self.dist_info}/RECORD"
        text = self.text("RECORD")
        if text is None:
            raise self._wrong("there is no RECORD", self.dist_info)
        found: dict[str, tuple[str, int | None]] = {}
        try:
            for path, digest, size in parse_record_file(io.StringIO(text, newline="")):
                if path.startswith(f"{self.dist_info}/") and path.partition("/")[2] in UNRECORDED:
                    continue
                name, _, value = digest.partition("=")
                if name not in HASHES or len(value) != -(-HASHES[name] * 8 // 6):
                    raise self._wrong(f"gives no sha256 (or better) for {path}", where)
                if path in found and found[path][0] != digest:
                    raise self._wrong(f"lists {path} twice", where)
                found[path] = (digest, int(size) if size else None)
        except (InvalidRecordEntry, csv.Error, ValueError) as error:
            raise self._wrong(f"can't be read: {str(error)[:200]}", where) from None
        return found

    def _stream(self, member: str) -> Iterator[bytes]:
        info = self._members[member]
        left = info.file_size
        try:
            with self._zip.open(info) as stream:
                while chunk := stream.read(CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        break
                    yield chunk
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            RuntimeError,
            ValueError,
        ) as error:
            raise self._wrong(f"can't be unpacked: {error}", member) from None
        if left:
            raise self._wrong("isn't as long as it says", member)

    def _wrong(self, what: str, member: str = "") -> IntegrityError:
        return IntegrityError(what, where=f"{self.file}: {member[:200]!r}" if member else self.file)


def _owner(folder: str) -> str:
    """The distribution that ``NAME-VERSION.dist-info`` (or ``.data``) belongs to, in its canonical form."""
    from packaging.utils import canonicalize_name

    return canonicalize_name(folder.rpartition(".")[0].rpartition("-")[0])


LIMITS = Limits()


@contextmanager
def open_wheel(path: Path, file: str = "", limits: Limits = LIMITS) -> Iterator[WheelFile]:
    """The wheel at ``path``; ``file`` is its own file name where ``path`` has another. Raises IntegrityError."""
    file = file or path.name
    with path.open("rb") as stream:
        size = _check_directory(stream, file, limits)
        try:
            archive = zipfile.ZipFile(stream)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, OSError, struct.error) as error:
            raise IntegrityError(f"not a wheel: {error}", where=file) from None
        with archive:
            yield WheelFile(archive, file, size, limits)


def _check_directory(stream: IO[bytes], file: str, limits: Limits) -> int:
    """Bound the zip's directory before it is read; the wheel's size in bytes (APPNOTE.TXT 4.3.16)."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 22 - 0xFFFF))
    tail = stream.read(22 + 0xFFFF)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise IntegrityError("not a wheel: the zip's directory is missing", where=file)
    count, length = struct.unpack_from("<HI", tail, at + 10)
    if at >= 20 and tail[at - 20 : at - 16] == b"PK\x06\x07":
        raise IntegrityError("a zip64 directory, which a wheel of this size has no use for", where=file)
    if length > limits.members * 256 or count > limits.members:
        raise IntegrityError(f"the zip's directory has {length} bytes, too many", where=file)
    return size
