"""Calls: which system calls a file's code makes, and which names it asks of others. Bytes → value, pure.

A C library is told apart, function by function, so that only what others ask of it counts; of any other file all of
its code does. A number that can't be told makes a file, or a function of a C library, *dark*: it may call anything.
Not seen are calls by code that isn't in the file: made by a just-in-time compiler, or written by a debugger.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from oslet.errors import IntegrityError
from oslet.formats.code import tables
from oslet.formats.code.graph import BY_NUMBER, Graph, Own
from oslet.formats.code.names import by_number
from oslet.formats.code.sweep import SYSCALL, Code

EDITION = "5"
"""Of what this module finds: part of the key under which it is remembered."""
_LOOKS_UP = frozenset({"dlsym", "dlvsym", "__libc_dlsym"})
_FOREIGN = re.compile(rb"\b(?:ctypes|cffi|fiddle|FFI)\b")
_MEMBER = re.compile(rb"[.\"' ]([a-z_][a-z0-9_]{2,40})\b")
"""In a script that reaches into libraries, what may be a function's name."""
_TEXT = re.compile(rb"(?<=\0)([a-z_][a-z0-9_]{2,40})(?=\0)")
MAX_TEXTS = 20_000
MAX_CODE = 96 << 20
"""Bytes of code that are read of one file: some minutes' work."""
MAX_SCRIPT = 4 << 20
_BY_POINTER = {"libcap.so.2": ("capset", "prctl", "setuid", "setgid", "setgroups", "chroot")}
"""Libraries that call ``syscall(3)`` by a pointer that others may replace, and what they ask it for (libcap,
cap_proc.c): dark to who reads them."""


class Calls(Struct, frozen=True, omit_defaults=True):
    """What one file's code calls, by number.

    ``always`` are the calls of code that runs, or may run, as soon as the file is loaded; ``named`` those that each
    exported function of a C library leads to, ``always`` aside. ``imports`` are the names that others must define, and
    ``texts`` its texts that read as names, of a file that looks names up. ``dark`` says where a call is made by a
    number that can't be told, ``dark_named`` the same of exported functions.
    """

    machine: str = ""
    always: tuple[int, ...] = ()
    named: dict[str, tuple[int, ...]] = {}
    imports: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    dark: str = ""
    dark_named: dict[str, str] = {}


NONE = Calls()


def read(data: bytes, *, where: str = "") -> Calls:
    """What ``data``, a file's content, calls; ``NONE`` for what no kernel of a known machine would run, and for scripts
    but those that reach into libraries."""
    if data[:4] != b"\x7fELF":
        return Calls(texts=_found(_MEMBER, data)) if len(data) <= MAX_SCRIPT and _FOREIGN.search(data) else NONE
    try:
        found = tables.read(data, where=where)
    except IntegrityError:
        return NONE
    if found is None:
        return NONE
    calls = Calls(
        machine=found.machine,
        imports=tuple(sorted(found.imports)),
        texts=_found(_TEXT, data) if found.imports & _LOOKS_UP else (),
    )
    if not any(SYSCALL[found.machine] in s.data for s in found.segments if s.runs) and BY_NUMBER not in found.imports:
        return calls
    if sum(len(s.data) for s in found.segments if s.runs) > MAX_CODE:
        return replace(calls, dark="somewhere: it is too large to be read")
    return _told(found, calls)


def _told(found: tables.Tables, calls: Calls) -> Calls:
    library = BY_NUMBER in found.exports
    graph = Graph(Code(found), whole=library)
    own = graph.own()
    if not library:
        if known := _BY_POINTER.get(found.soname):
            numbers = {number for number, name in by_number(found.machine).items() if name in known}
            return replace(calls, always=tuple(sorted({*_all(own, own.calls), *numbers})))
        dark = next(iter(own.dark.values()), None)
        if dark is None and own.given:
            dark = min(own.given)
        return replace(calls, always=_all(own, own.calls), dark="" if dark is None else hex(dark))
    loaded = graph.reach([*found.pointers.values(), *found.begins])
    named, dark_named = {}, {}
    for name, address in found.exports.items():
        reached = graph.reach([address]) - loaded
        if mine := _all(own, reached):
            named[name] = mine
        if name != BY_NUMBER and (where := _dark(own, reached)):
            dark_named[name] = where
    return replace(calls, always=_all(own, loaded), named=named, dark=_dark(own, loaded), dark_named=dark_named)


def _all(own: Own, functions: set[int] | dict[int, set[int]]) -> tuple[int, ...]:
    return tuple(sorted({n for f in functions for n in own.calls.get(f, ()) if n < 4096}))


def _dark(own: Own, functions: set[int]) -> str:
    """Where one of ``functions`` is dark. ``syscall(3)`` itself is told by those who call it."""
    return next((hex(own.dark[f]) for f in sorted(functions & own.dark.keys())), "")


def _found(pattern: re.Pattern[bytes], data: bytes) -> tuple[str, ...]:
    return tuple(sorted({m[1].decode() for m in pattern.finditer(data)}))[:MAX_TEXTS]
