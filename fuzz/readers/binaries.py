"""ELF files, kernel modules, the linker's cache, and tars."""

from __future__ import annotations

import io
import lzma
import struct
from pathlib import Path

import capstone  # noqa: F401 - it loads its library, which is no escape of a reader

from fuzz import containers
from fuzz.choices import Choices
from fuzz.judge import Reader, promise
from oslet.formats import elf, kmod, ldcache, tar
from oslet.formats.code import calls
from oslet.testing.makers import Made, make_tar


def make_elf(
    *, needed: tuple[str, ...] = (), soname: str = "", runpath: str = "", interpreter: str = "", wide: bool = True,
    order: str = "<", note: bytes = b"",
) -> bytes:  # fmt: skip
    """The smallest file that says these things: a header, program headers, a dynamic table and its strings."""
    strings, tags = b"\0", []
    for tag, text in (*((1, name) for name in needed), (14, soname), (29, runpath)):
        if text:
            tags.append((tag, len(strings)))
            strings += text.encode() + b"\0"
    head, entry, pair = (64, 56, 16) if wide else (52, 32, 8)
    count = 2 + bool(interpreter) + bool(note)
    at = head + count * entry
    table = at + pair * (len(tags) + 3)
    tags += [(5, table), (10, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack(f"{order}{'qQ' if wide else 'iI'}", *each) for each in tags)
    end = table + len(strings)
    segments = [(1, 0, end + len(interpreter) + 1), (2, at, len(dynamic))]
    segments += [(3, end, len(interpreter) + 1)] if interpreter else []
    body = struct.pack(f"{order}III", 4, len(note), 0x407C0C0A) + b"FDO\0" + note + bytes(-len(note) % 4)
    segments += [(4, end + len(interpreter) + 1, len(body))] if note else []
    pieces = [b"\x7fELF", bytes([2 if wide else 1, 1 if order == "<" else 2, 1]), bytes(9)]
    if wide:
        pieces.append(struct.pack(f"{order}HHIQQQIHHHHHH", 3, 62, 1, 0, head, 0, 0, head, entry, count, 0, 0, 0))
        for kind, offset, size in segments:
            pieces.append(struct.pack(f"{order}IIQQQQQQ", kind, 4, offset, offset, offset, size, size, 8))
    else:
        pieces.append(struct.pack(f"{order}HHIIIIIHHHHHH", 3, 3, 1, 0, head, 0, 0, head, entry, count, 0, 0, 0))
        for kind, offset, size in segments:
            pieces.append(struct.pack(f"{order}IIIIIIII", kind, offset, offset, offset, size, size, 4, 4))
    return b"".join([*pieces, dynamic, strings, interpreter.encode() + b"\0", body if note else b""])


def _elf_seeds() -> list[bytes]:
    return [
        make_elf(needed=("libc.so.6", "libm.so.6"), soname="libx.so.1", runpath="$ORIGIN/../lib:/opt"),
        make_elf(needed=("libc.so.6",), interpreter="/lib64/ld-linux-x86-64.so.2"),
        make_elf(needed=("libc.so.6",), soname="x", wide=False),
        make_elf(needed=("libc.so.6",), interpreter="/lib/ld.so", wide=False, order=">"),
        make_elf(soname="libbig.so", order=">"),
        make_elf(needed=("libc.so.6",), note=b'[{"soname": ["libz.so.1"], "priority": "required"}]'),
        make_elf(),
    ]


def _elf(data: bytes, room: Path) -> object:
    found = elf.read(io.BytesIO(data), where="fuzzed")
    if found is not None:
        texts = (found.interpreter, found.soname, *found.needed, *found.rpath, *found.runpath)
        promise(all(len(text) <= elf.MAX_STRING for text in texts), "a text of an ELF file over its bound")
        promise(len(found.needed) <= elf.MAX_NEEDED, "more names than are read")
    return found


def _code_seeds() -> list[bytes]:
    """Files whose one segment is code, and holds what the tables need: calls of both kinds of processor."""
    x86 = bytes.fromhex("b801000000 0f05 e8f4ffffff 89f8 0f05 ff2510000000 488d0510000000 ffd0 c3".replace(" ", ""))
    arm = bytes.fromhex("280080d2 010000d4 fdffff97 e80300aa 010000d4 c0035fd6".replace(" ", ""))
    seeds = []
    for machine, code in ((62, x86), (183, arm)):
        head = (
            b"\x7fELF\2\1\1"
            + bytes(9)
            + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        )
        size = 120 + len(code)
        seeds.append(head + struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, size, size, 8) + code)
    return [*seeds, b"import ctypes\nctypes.CDLL(None).getpid()\n"]


def _code(data: bytes, room: Path) -> object:
    found = calls.read(data, where="fuzzed")
    promise(len(found.texts) <= calls.MAX_TEXTS, "more texts than are kept")
    promise(all(0 <= n < 4096 for n in found.always), "a number that is no call's")
    return found


def make_module(*texts: str) -> bytes:
    """The smallest object file with these texts in a ``.modinfo`` section."""
    info, names = b"".join(text.encode() + b"\0" for text in texts), b"\0.modinfo\0.shstrtab\0"
    head = b"\x7fELF\2\1\1" + bytes(9)
    at = 64 + len(info) + len(names)
    head += struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, at, 0, 64, 0, 0, 64, 3, 2)
    sections = [(0, 0, 0, 0, 0, 0), (1, 1, 2, 0, 64, len(info)), (10, 3, 0, 0, 64 + len(info), len(names))]
    return head + info + names + b"".join(struct.pack("<IIQQQQIIQQ", *s, 0, 0, 1, 0) for s in sections)


def _module_seeds() -> list[bytes]:
    said = make_module("name=ext4", "depends=jbd2,mbcache", "softdep=pre: crc32c", "alias=fs-ext4")
    return [said, lzma.compress(said), make_module("name=a-b", "depends="), make_module()]


def _module(data: bytes, room: Path) -> object:
    found = kmod.read(kmod.unpacked(data, where="fuzzed"), where="fuzzed")
    promise(found.name and "-" not in found.name, "a module without a name of the kernel's")
    return found


def _cache_seeds() -> list[bytes]:
    flags = ldcache.FLAGS["x86-64"]
    some = [ldcache.Library(f"lib{n}.so.{n}", f"/usr/lib/lib{n}.so.{n}", flags) for n in range(5)]
    return [ldcache.write(some), ldcache.write([]), ldcache.write([ldcache.Library("a", "/a", 3)])]


def _cache(data: bytes, room: Path) -> object:
    found = ldcache.read(data, where="fuzzed")
    promise(
        sum(len(lib.name) + len(lib.path) for lib in found) <= 64 * len(data) + 4096, "a cache that grows when read"
    )
    again = ldcache.read(ldcache.write(found), where="written")
    promise(set(again) == set(found), "what is written isn't what was read")
    return found


def tar_of(data: bytes) -> bytes:
    """An input as a tar: a mutated one with its checksums put right, as it is, or a recipe."""
    choices = Choices(data)
    mode = choices.byte()
    if mode % 4 == 3:
        return containers.tar(choices)
    return choices.rest() if mode % 4 == 2 else containers.resummed(choices.rest())


def tar_seeds() -> list[bytes]:
    plain = make_tar(
        {
            "/usr/bin/app": Made("#!/bin/sh\n", 0o4755),
            "/usr/lib/a": Made("x" * 600),
            "/usr/lib/b": Made(link="../bin/app"),
            "/usr/lib/c": Made(hard="/usr/lib/a"),
            "/etc": Made(kind="dir", mode=0o700, uid=33, gid=1 << 22),
            "/opt/" + "long/" * 60 + "x": Made("y"),
        }
    )
    return [
        b"\0" + plain,
        b"\2" + make_tar({}),
        b"\3" + bytes(64),
        *(b"\3" + bytes([n, 0, n, n] * 30) for n in (1, 3, 7)),
    ]


def members(data: bytes, where: str = "fuzzed") -> list[tuple[tar.Member, int]]:
    """The members of a tar and how much each holds, with what ``tar.read`` promises of them."""
    found = []
    for member, content in tar.read(io.BytesIO(data), where=where):
        size = sum(map(len, content))
        promise(size == member.size, "a content that isn't as long as its member says")
        within(member.path)
        promise(not any(c < " " or c == "\x7f" for c in member.path), "a path that holds control characters")
        if member.kind == "hardlink":
            within(member.target)
        found.append((member, size))
    return found


def within(path: str) -> None:
    """The promise that ``path`` is absolute, normal and can be a path."""
    parts = path[1:].split("/") if path != "/" else []
    promise(path[:1] == "/" and not {"", ".", ".."} & set(parts), "a path that isn't absolute and normal")
    promise("\0" not in path, "a path that holds NUL")
    path.encode()


def _tar(data: bytes, room: Path) -> object:
    return members(tar_of(data))


READERS = (
    Reader("elf", "formats/elf.py", _elf_seeds, _elf, (b"\x7fELF\x02\x01\x01", b"\x7fELF\x01\x02\x01", b"$ORIGIN")),
    Reader("code", "formats/code/calls.py", _code_seeds, _code, (b"\x0f\x05", b"\x01\x00\x00\xd4", b"\x7fELF\2\1\1")),
    Reader("kmod", "formats/kmod.py", _module_seeds, _module, (b".modinfo\0", b"depends=", b"softdep=pre: ")),
    Reader("ldcache", "formats/ldcache.py", _cache_seeds, _cache, (ldcache.MAGIC,)),
    Reader(
        *("tar", "formats/tar.py", tar_seeds, _tar),
        (
            *(b"ustar\x0000", b"ustar  \0", b"GNU.sparse.", b"SCHILY.xattr."),
            *(b"11 path=a/b\n", b"././@LongLink", *containers.NAMES[-6:],),
        ),
    ),
)  # fmt: skip
