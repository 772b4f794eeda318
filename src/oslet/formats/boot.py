"""The boot record: a ``Boot`` as bytes that every transport carries (docs/guest.md). ``run/native/boot.h`` reads it.

A header (``OSLETBT1``, length, CRC-32), then entries (16-bit tag, 32-bit length, bytes), little-endian; texts end with
NUL.
"""

from __future__ import annotations

import base64
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from oslet.errors import DeclarationError, IntegrityError
from oslet.model.boot import Boot, Disk, GuestFile, Identity, User, Warm

MAGIC = b"OSLETBT1"
MAX_SIZE = 16 << 20
MAX_ENTRIES = 1 << 16
MAX_FILES = 4096
MAX_GROUPS = 64
MAX_PATH = 4095
MAX_HOSTNAME = 64
MAX_COMMAND_LINE = 1400
"""Bytes of a record on a kernel's command line, which has 2048 characters on x86-64 (``COMMAND_LINE_SIZE``)."""
_HEADER = struct.Struct("<8sII")
_ENTRY = struct.Struct("<HI")
_OWNED = struct.Struct("<III")
_NOBODY = 0xFFFFFFFF
_SECRET = 1 << 31
"""In a file's mode: it is one, which the command line must not carry."""
(
    _ARG, _ENV, _WORKDIR, _UID, _GID, _GROUPS, _HOSTNAME, _FILE, _ADDRESS, _GATEWAY, _MAC, _DISK, _READ_ONLY, _SEED,
    _STOP, _CLOCK, _WARM, _PROGRAM, _MTU, _CAPABILITIES,
) = range(1, 21)  # fmt: skip
_TEXTS = {_WORKDIR: "workdir", _HOSTNAME: "hostname", _ADDRESS: "address", _GATEWAY: "gateway", _MAC: "mac"}
_NUMBERS = {_UID: "uid", _GID: "gid", _STOP: "stop", _MTU: "mtu", _READ_ONLY: "read_only"}
_WIDE = {_CLOCK: "clock", _CAPABILITIES: "capabilities"}


def encode(boot: Boot) -> bytes:
    """The record's bytes. DeclarationError for what it can't hold: a NUL in a text, a relative path, too much."""
    try:
        body = b"".join(_ENTRY.pack(tag, len(data)) + data for tag, data in _entries(boot))
    except struct.error:
        raise DeclarationError("a number is out of its range", where="boot record") from None
    if len(body) > MAX_SIZE:
        raise DeclarationError(f"{len(body)} bytes are more than a boot record holds ({MAX_SIZE})", where="boot record")
    record = _HEADER.pack(MAGIC, len(body), zlib.crc32(body)) + body
    try:
        decode(record)  # what isn't read back isn't written
    except IntegrityError as error:
        raise DeclarationError(error.what, where="boot record") from None
    return record


def command_line(boot: Boot) -> str:
    """The record as base64url for ``oslet.boot=``. DeclarationError for one with secrets, or too long."""
    if any(file.secret for file in boot.files) or boot.identity.seed:
        raise DeclarationError(
            "a kernel's command line is no place for secrets",
            where="boot record",
            hint="everybody in the guest can read /proc/cmdline; give it as a disk or by fw_cfg",
        )
    record = encode(boot)
    if len(record) > MAX_COMMAND_LINE:
        raise DeclarationError(
            f"{len(record)} bytes are too many for a kernel's command line ({MAX_COMMAND_LINE})",
            where="boot record",
            hint="give it as a disk, by fw_cfg or in the initramfs",
        )
    return text(record)


def text(record: bytes) -> str:
    """A record's bytes as base64url (RFC 4648, section 5) without padding."""
    return base64.urlsafe_b64encode(record).rstrip(b"=").decode()


def _entries(boot: Boot) -> Iterator[tuple[int, bytes]]:
    yield from ((_ARG, _text(word)) for word in boot.argv)
    for name, value in boot.env.items():
        if "=" in name:
            raise DeclarationError("a variable's name holds no '='", where=f"boot record: {name}")
        yield _ENV, _text(f"{name}={value}")
    identity, user = boot.identity, boot.user
    said: dict[int, Any] = {
        _WORKDIR: boot.workdir, _HOSTNAME: identity.hostname, _ADDRESS: identity.address,
        _GATEWAY: identity.gateway, _MAC: identity.mac,
    }  # fmt: skip
    yield from ((tag, _text(value)) for tag, value in said.items() if value)
    if user is not None:
        yield _UID, struct.pack("<I", user.uid)
        yield _GID, struct.pack("<I", user.gid)
        yield _GROUPS, struct.pack(f"<{len(user.groups)}I", *user.groups)
        if user.capabilities is not None:
            yield _CAPABILITIES, struct.pack("<Q", user.capabilities)
    for tag, number in ((_STOP, boot.stop), (_MTU, identity.mtu)):
        if number:
            yield tag, struct.pack("<I", number)
    if boot.read_only is not None:
        yield _READ_ONLY, struct.pack("<I", boot.read_only)
    if identity.clock:
        yield _CLOCK, struct.pack("<Q", identity.clock)
    if identity.seed:
        yield _SEED, identity.seed
    for file in boot.files:
        mode = file.mode | (_SECRET if file.secret else 0)
        yield _FILE, _OWNED.pack(mode, file.uid, file.gid) + _text(file.path) + file.data
    for disk in boot.disks:
        owner = disk.owner or (_NOBODY, _NOBODY)
        yield _DISK, _OWNED.pack(*owner, disk.read_only) + b"".join(map(_text, (disk.device, disk.path, disk.kind)))
    if boot.warm is not None:
        yield from ((_WARM, _text(word)) for word in boot.warm.argv)
        yield _PROGRAM, boot.warm.program


def _text(value: str) -> bytes:
    data = os.fsencode(value)
    if b"\0" in data:
        raise DeclarationError("a text holds a NUL byte", where="boot record")
    return data + b"\0"


def begins(data: bytes) -> bool:
    """Whether these bytes begin as a record does, raw or as base64url."""
    return data.startswith((MAGIC, base64.b64encode(MAGIC)[:10]))


def decode(data: bytes, *, where: str = "boot record") -> Boot:
    """The record that ``data`` begins with, raw or as base64url; what follows a raw one is passed over.

    Raises IntegrityError for anything else.
    """
    if not data.startswith(MAGIC) and begins(data):
        data = _unbase(data, where)
    if len(data) < _HEADER.size or not data.startswith(MAGIC):
        raise IntegrityError("not a boot record", where=where)
    _, length, checksum = _HEADER.unpack_from(data)
    body = data[_HEADER.size : _HEADER.size + length]
    if length > MAX_SIZE or len(body) < length:
        raise IntegrityError("a boot record that is cut short", where=where)
    if zlib.crc32(body) != checksum:
        raise IntegrityError("a boot record whose checksum is wrong", where=where)
    read = _Reading(where)
    at = 0
    while at < length:
        if length - at < _ENTRY.size:
            raise IntegrityError("an entry that is cut short", where=where)
        tag, size = _ENTRY.unpack_from(body, at)
        at += _ENTRY.size
        if size > length - at:
            raise IntegrityError("an entry that is cut short", where=where)
        read.entry(tag, body[at : at + size])
        at += size
    return read.boot()


def _unbase(data: bytes, where: str) -> bytes:
    plain = bytes(byte for byte in data if byte not in b"=\n\r \0")
    if plain.translate(None, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"):
        raise IntegrityError("a boot record that isn't base64url", where=where)
    plain = plain[: len(plain) - (len(plain) % 4 == 1)]
    return base64.urlsafe_b64decode(plain + b"=" * (-len(plain) % 4))


class _Reading:
    """What the entries so far have said."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._said: dict[str, Any] = {}
        self._lists: dict[int, list[str]] = {_ARG: [], _WARM: []}
        self._env: dict[str, str] = {}
        self._files: dict[str, GuestFile] = {}
        self._disks: dict[str, Disk] = {}

    def _refuse(self, what: str) -> IntegrityError:
        return IntegrityError(what, where=self._where)

    def entry(self, tag: int, data: bytes) -> None:
        if tag in self._lists:
            self._lists[tag].append(self._text(data))
            if len(self._lists[tag]) > MAX_ENTRIES:
                raise self._refuse("too many arguments")
        elif tag == _ENV:
            self._variable(self._text(data))
        elif tag in _TEXTS:
            self._said[_TEXTS[tag]] = self._checked(tag, self._text(data))
        elif tag in _NUMBERS or tag in _WIDE:
            self._number(tag, data)
        elif tag == _GROUPS:
            if len(data) % 4 or len(data) > 4 * MAX_GROUPS:
                raise self._refuse("a list of groups that is none")
            self._said["groups"] = struct.unpack(f"<{len(data) // 4}I", data)
        elif tag == _FILE:
            self._file(data)
        elif tag == _DISK:
            self._disk(data)
        elif tag in (_SEED, _PROGRAM):
            self._said["seed" if tag == _SEED else "program"] = data
        else:
            raise self._refuse("an entry of an unknown kind")

    def _text(self, data: bytes) -> str:
        if not data.endswith(b"\0") or b"\0" in data[:-1]:
            raise self._refuse("a text that doesn't end where it should")
        return os.fsdecode(data[:-1])

    def _path(self, text: str, what: str) -> str:
        if not text.startswith("/") or ".." in text.split("/") or len(os.fsencode(text)) > MAX_PATH:
            raise self._refuse(what)
        return text

    def _checked(self, tag: int, text: str) -> str:
        if tag == _WORKDIR:
            return self._path(text, "a working folder that isn't an absolute path")
        if tag == _HOSTNAME and len(os.fsencode(text)) > MAX_HOSTNAME:
            raise self._refuse(f"a host name of over {MAX_HOSTNAME} bytes")
        return text

    def _variable(self, text: str) -> None:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise self._refuse("a variable without a name")
        self._env[name] = value
        if len(self._env) > MAX_ENTRIES:
            raise self._refuse("too many variables")

    def _number(self, tag: int, data: bytes) -> None:
        if len(data) != (8 if tag in _WIDE else 4):
            raise self._refuse("a number of another size")
        value = int.from_bytes(data, "little")
        if tag == _STOP and not 1 <= value <= 64:
            raise self._refuse("a signal that isn't one")
        self._said[_WIDE[tag] if tag in _WIDE else _NUMBERS[tag]] = value

    def _owned(self, data: bytes, what: str) -> tuple[int, int, int]:
        if len(data) < _OWNED.size:
            raise self._refuse(f"{what} that is cut short")
        first, second, third = _OWNED.unpack_from(data)
        return first, second, third

    def _file(self, data: bytes) -> None:
        mode, uid, gid = self._owned(data, "a file")
        path, nul, content = data[_OWNED.size :].partition(b"\0")
        if not nul or mode & ~_SECRET > 0o7777 or path == b"/":
            raise self._refuse("a file without a path")
        name = self._path(os.fsdecode(path), "a file without a path")
        self._files[name] = GuestFile(name, content, mode & 0o7777, uid, gid, secret=bool(mode & _SECRET))
        if len(self._files) > MAX_FILES:
            raise self._refuse("too many files")

    def _disk(self, data: bytes) -> None:
        uid, gid, read_only = self._owned(data, "a disk")
        words = data[_OWNED.size :].split(b"\0")
        if len(words) != 4 or words[3] or not words[0]:
            raise self._refuse("a disk without a device, a path and a kind")
        device, path, kind = map(os.fsdecode, words[:3])
        owner = None if uid == _NOBODY else (uid, gid)
        path = self._path(path, "a disk without a device, a path and a kind")
        self._disks[path] = Disk(device, path, kind, bool(read_only), owner)
        if len(self._disks) > MAX_FILES:
            raise self._refuse("too many disks")

    def boot(self) -> Boot:
        said = self._said
        user = User(**{key: said[key] for key in ("uid", "gid", "groups", "capabilities") if key in said})
        names = ("hostname", "address", "gateway", "mac", "mtu", "seed", "clock")
        warm = Warm(tuple(self._lists[_WARM]), said.get("program", b""))
        return Boot(
            argv=tuple(self._lists[_ARG]),
            env=self._env,
            workdir=said.get("workdir", ""),
            user=user if {"uid", "gid", "groups", "capabilities"} & said.keys() else None,
            stop=said.get("stop", 0),
            identity=Identity(**{name: said[name] for name in names if name in said}),
            files=tuple(self._files.values()),
            disks=tuple(self._disks.values()),
            read_only=bool(said["read_only"]) if "read_only" in said else None,
            warm=warm if warm.argv or warm.program else None,
        )
