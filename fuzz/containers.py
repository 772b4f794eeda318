"""Recipes → containers: tar, ar, zip and compressed streams, well-formed but where the recipe lies."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import lzma
import struct
import zlib

from fuzz.choices import Choices
from oslet.testing.makers import zstd_compress

BLOCK = 512
NAMES = (
    *(b"./usr/bin/a", b"usr/lib/b", b"./usr/", b"./", b"/", b"", b".", b"a", b"a/b", b"./usr/bin", b"./etc/c"),
    *(b"../x", b"a/../../x", b"/etc/x", b"a//b/./c", b"a\\b", b".wh.a", b"usr/.wh..wh..opq", b"usr/bin/.wh.a"),
    *(b"control", b"./control", b"postinst", b"\xff\xfe", b"a\nb", b"a\x1bb", b"n" * 255, b"n" * 256, b"d/" * 120),
)
TARGETS = (b"a", b"/usr/bin/a", b"usr/lib/b", b"..", b"../../../../etc", b"/", b"", b".", b"\xff", b"./usr", b"x" * 200)
_TYPES = b"0512\0LKxg7345SDMV1x0"
_SIZES = (
    b"",
    b"00000000000\0",
    b"77777777777\0",
    b"\x80" + bytes(10) + b"\x40",
    b"\xff" * 12,
    b"-1",
    b"+7",
    b"1_0",
    b" 12 ",
)
_KEYS = (
    *(b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime", b"SCHILY.xattr.user.x", b"GNU.sparse.major", b"comment"),
    *(b"SCHILY.xattr.security.capability", b"", b"\xff"),
)


def tar(choices: Choices, most: int = 24) -> bytes:
    """A tar of the members that the choices spell."""
    out = []
    for _ in range(most):
        if not choices.more():
            break
        out.append(choices.some() if choices.one_in(64) else _member(choices))
    return b"".join(out) + bytes(choices.pick((2, 0, 1, 5)) * BLOCK)


def _member(choices: Choices) -> bytes:
    name = choices.some() if choices.one_in(4) else choices.pick(NAMES)
    type_ = choices.pick([_TYPES[n : n + 1] for n in range(len(_TYPES))])
    target = choices.some() if choices.one_in(8) else choices.pick(TARGETS)
    content = _pax(choices) if type_ in b"xg" else choices.some()
    if type_ in b"12345M" and not choices.one_in(16):
        content = b""
    if choices.one_in(16):
        content *= 1 << choices.byte() % 12
    size = choices.pick(_SIZES) if choices.one_in(8) else b"%011o\0" % len(content)
    mode, uid, mtime = (choices.pick(_SIZES)[:8] if choices.one_in(8) else b"0000755\0" for _ in range(3))
    magic = choices.pick((b"ustar\x0000", b"ustar  \0", bytes(8)))
    prefix = choices.some() if choices.one_in(16) else b""
    head = b"%s%s%s%s%s%s" % (fit(name, 100), fit(mode, 8), fit(uid, 8), fit(uid, 8), fit(size, 12), fit(mtime, 12))
    tail = b"%s%s%s%s%s%s" % (fit(type_, 1), fit(target, 100), magic, bytes(64), bytes(16), fit(prefix, 167))
    return summed(head + b" " * 8 + tail, wrong=choices.one_in(128)) + content + bytes(-len(content) % BLOCK)


def _pax(choices: Choices) -> bytes:
    records = b""
    for _ in range(choices.byte() % 5):
        body = b" " + choices.pick(_KEYS) + b"=" + choices.some() + b"\n"
        length = len(body) + len(str(len(body) + 3))
        said = choices.some()[:8] if choices.one_in(16) else str(length).encode()
        records += said + body
    return records


def fit(data: bytes, size: int) -> bytes:
    return data[:size].ljust(size, b"\0")


def summed(header: bytes, *, wrong: bool = False) -> bytes:
    """A tar header with its checksum set."""
    blank = header[:148] + b" " * 8 + header[156:]
    return blank[:148] + b"%06o\0 " % ((sum(blank) + wrong) & 0o777777) + blank[156:]


def resummed(data: bytes) -> bytes:
    """A mutated tar with every header's checksum put right, as far as the sizes lead."""
    out: list[bytes] = []
    at = 0
    while at + BLOCK <= len(data) and len(out) < 2000:
        header = data[at : at + BLOCK]
        if not header.strip(b"\0"):
            break
        digits = header[124:136].strip(b" \0")
        size = int(digits, 8) if digits.isdigit() and not digits.strip(b"01234567") else 0
        out.append(summed(header))
        end = at + BLOCK + size + -size % BLOCK
        out.append(data[at + BLOCK : end])
        at = end
    return b"".join(out) + data[at:]


PACKINGS = ("", ".xz", ".gz", ".bz2", ".zst", ".lzma", ".Z")


def packed(data: bytes, suffix: str, choices: Choices) -> bytes:
    """``data`` as a stream of that packing; now and then cut, altered, doubled or followed by something."""
    out = _compressed(data, suffix)
    lie = choices.byte() % 32
    if lie == 31:
        out = out[: choices.number() % (len(out) + 1)]
    elif lie == 30 and out:
        at = choices.number() % len(out)
        out = out[:at] + bytes([out[at] ^ (choices.byte() or 1)]) + out[at + 1 :]
    elif lie == 29:
        out += _compressed(choices.some(), suffix)
    elif lie == 28:
        out += bytes(choices.byte() % 9) + choices.some()
    return out


def _compressed(data: bytes, suffix: str) -> bytes:
    if suffix == ".xz":
        return lzma.compress(data, preset=0)
    if suffix == ".lzma":
        return lzma.compress(data, format=lzma.FORMAT_ALONE, preset=0)
    if suffix == ".gz":
        return gzip.compress(data, 1, mtime=0)
    if suffix == ".bz2":
        return bz2.compress(data, 1)
    return zstd_compress(data) if suffix == ".zst" else data


def ar(parts: list[tuple[bytes, bytes]], choices: Choices) -> bytes:
    """An ar archive of ``parts`` (name, content)."""
    out = [b"!<arch>\n"]
    for name, data in parts:
        size = choices.some()[:10] if choices.one_in(64) else b"%d" % len(data)
        end = choices.some()[:2] if choices.one_in(128) else b"`\n"
        out.append(b"%-16s%-12d%-6d%-6d%-8s%-10s%s" % (name[:16], 0, 0, 0, b"100644", size, end))
        out.append(data + b"\n" * (len(data) % 2 and not choices.one_in(64)))
    return b"".join(out)


def zipped(members: list[tuple[bytes, bytes]], choices: Choices) -> bytes:
    """A zip of ``members`` (name, content), whose directory lies where the choices say so."""
    body, directory = b"", b""
    for name, data in members:
        method = choices.pick((8, 0, 8, 0, 8, 0, 8, 12, 14, 99, 9, 93))
        flags = choices.pick((0, 0, 0, 0x800, 0x800, 1, 8, 0xFFFF))
        mode = choices.pick((0o100644, 0o100755, 0, 0o120777, 0o40755, 0o20644, 0o104755))
        raw = zlib.compressobj(1, zlib.DEFLATED, -15)
        content = raw.compress(data) + raw.flush() if method == 8 else data
        crc = choices.number() if choices.one_in(64) else zlib.crc32(data)
        size = choices.pick((0, 1, 0xFFFFFFFF, 0x7FFFFFFF)) if choices.one_in(32) else len(data)
        length = choices.pick((0, 1, 0xFFFFFFFF)) if choices.one_in(64) else len(content)
        inner = choices.some() if choices.one_in(64) else name
        extra = choices.some() if choices.one_in(32) else b""
        offset = choices.number() if choices.one_in(64) else len(body)
        fields = struct.pack("<HHHHHIIIHH", 20, flags, method, 0, 33, crc, length, size, len(inner), 0)
        body += b"PK\x03\x04" + fields + inner + content
        fields = struct.pack("<HHHHHIIIHH", 20, flags, method, 0, 33, crc, length, size, len(name), len(extra))
        directory += b"PK\x01\x02" + struct.pack("<H", 0x0314) + fields
        directory += struct.pack("<HHHII", 0, 0, 0, mode << 16, offset) + name + extra
    count = choices.number() if choices.one_in(64) else len(members)
    start = choices.number() if choices.one_in(64) else len(body)
    comment = choices.some() if choices.one_in(64) else b""
    end = struct.pack("<HHHHIIH", 0, 0, count & 0xFFFF, count & 0xFFFF, len(directory), start, len(comment))
    return body + directory + b"PK\x05\x06" + end + comment


def recorded(members: list[tuple[bytes, bytes]], choices: Choices) -> bytes:
    """A wheel's RECORD of ``members``; rows are missing, wrong, odd or double where the choices say so."""
    rows = []
    for name, data in members:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
        size = b"%d" % len(data)
        odd = choices.byte() % 32
        if odd == 31:
            continue
        if odd == 30:
            digest = choices.some()
        elif odd == 29:
            size = choices.pick((b"", b"-1", b"x", b"9" * 5000, b" 1", b"1_0", "²".encode()))
        row = name + b"," + (b"md5=" if odd == 28 else b"sha256=") + digest + b"," + size
        rows += [row, row] if odd == 27 else [choices.some()] if odd == 26 else [row]
    return b"\n".join(rows) + b"\n"
