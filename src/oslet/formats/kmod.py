"""Kernel modules: what a ``.ko`` says of itself in its ``.modinfo`` section (include/linux/moduleinfo.h; elf(5)).

The section is ``name=value`` texts, each ended by NUL. ``depends`` are the modules that must be loaded before,
``softdep`` those that had better be (modprobe.d(5)), ``alias`` other names by which one is asked for.
"""

from __future__ import annotations

import lzma
import re
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from oslet.errors import IntegrityError

MAX_MODULE = 64 << 20
MAX_SECTIONS = 4096
MAX_INFO = 1 << 20
_SECTION = struct.Struct("<IIQQQQIIQQ")


class Module(NamedTuple):
    """One module: its name, with ``_`` for ``-``; what it needs, as names; and by what else it is asked for."""

    name: str
    needs: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


def unpacked(data: bytes, *, where: str) -> bytes:
    """A module's bytes, which Debian compresses by xz; IntegrityError over 64 MiB."""
    if not data.startswith(b"\xfd7zXZ\0"):
        return data
    try:
        plain = lzma.LZMADecompressor(memlimit=192 << 20).decompress(data, MAX_MODULE + 1)
    except (lzma.LZMAError, EOFError, ValueError) as error:
        raise IntegrityError(f"a module that can't be unpacked: {error}", where=where) from None
    if len(plain) > MAX_MODULE:
        raise IntegrityError(f"a module over {MAX_MODULE >> 20} MiB", where=where)
    return plain


def read(data: bytes, *, where: str) -> Module:
    """What a module, unpacked, says of itself. IntegrityError for what is no module."""
    info: dict[str, list[str]] = {}
    for text in _info(data, where).split(b"\0"):
        name, _, value = text.decode("ascii", "replace").partition("=")
        info.setdefault(name, []).append(value)
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", info.get("name", [""])[0]):
        raise IntegrityError("a module without a name", where=where)
    depends = [plain(n) for value in info.get("depends", ()) for n in value.split(",") if n]
    before = [plain(n) for value in info.get("softdep", ()) for n in _pre(value)]
    return Module(plain(info["name"][0]), tuple(depends), tuple(before), tuple(info.get("alias", ())))


def plain(name: str) -> str:
    """A module's name as the kernel has it."""
    return name.replace("-", "_")


def order(
    wanted: Iterable[str], names: Collection[str], read: Callable[[str], Module], builtin: Collection[str] = ()
) -> tuple[str, ...]:
    """The modules to load for ``wanted``, each after what it needs. ``names`` are the modules there are, ``read`` tells
    of one, ``builtin`` are the names and aliases of what the kernel has in it. IntegrityError for one that isn't there;
    what another only wishes for may be missing."""
    done: dict[str, None] = {}
    begun: set[str] = set()

    def visit(name: str, by: str) -> None:
        if name in begun:
            return
        if name not in names:
            raise IntegrityError(f"there is no module {name}, which {by} needs", where="modules")
        begun.add(name)
        module = read(name)
        for wish in module.before:
            if {wish, f"crypto-{wish}"} & {*builtin}:
                continue
            if found := _asked(wish, names, read):
                visit(found, name)
        for other in module.needs:
            visit(other, name)
        done[name] = None

    for name in wanted:
        visit(name, "the image")
    return tuple(done)


def _asked(wish: str, names: Collection[str], read: Callable[[str], Module]) -> str:
    """The module that is asked for by a name or an alias; empty if none is. Who has an alias begins with it: depmod's
    table of all aliases is made at installation, and to read every module for it takes a minute."""
    if wish in names:
        return wish
    for name in sorted(n for n in names if n.startswith(wish)):
        if {wish, f"crypto-{wish}"} & set(read(name).aliases):
            return name
    return ""


def builtin(data: bytes) -> frozenset[str]:
    """Names and aliases of what is built into a kernel, from its ``modules.builtin.modinfo``: ``MODULE.name=value``
    texts, each ended by NUL (Documentation/kbuild/kbuild.rst)."""
    found = set()
    for text in data[:MAX_MODULE].decode("ascii", "replace").split("\0"):
        left, _, value = text.partition("=")
        module, _, name = left.partition(".")
        found.add(plain(module))
        if name == "alias":
            found.add(value)
    return frozenset(found)


def _pre(softdep: str) -> Iterator[str]:
    """``pre: a b post: c`` → a, b."""
    now = ""
    for word in softdep.split():
        if word.endswith(":"):
            now = word
        elif now == "pre:":
            yield word


def _info(data: bytes, where: str) -> bytes:
    if len(data) < 64 or data[:6] != b"\x7fELF\x02\x01":
        raise IntegrityError("not a kernel module", where=where)
    table = int.from_bytes(data[40:48], "little")
    size, count, names = struct.unpack_from("<HHH", data, 58)
    if size != _SECTION.size or count > MAX_SECTIONS or names >= count or table + size * count > len(data):
        raise IntegrityError("a module whose sections can't be read", where=where)
    sections = [_SECTION.unpack_from(data, table + size * n) for n in range(count)]
    texts = data[sections[names][4] :][: min(sections[names][5], MAX_INFO)]
    for name, _, _, _, offset, length, *_ in sections:
        if texts[name : name + 9] == b".modinfo\0" and length <= MAX_INFO:
            return data[offset : offset + length]
    raise IntegrityError("a module without .modinfo", where=where)
