"""What files say that they need: ELF files, scripts, Python modules, configuration."""

from __future__ import annotations

from pathlib import Path

from fuzz.judge import Reader, promise
from fuzz.readers.binaries import make_elf
from oslet.codec import canonical, decode
from oslet.trim import evidence

_PATHS = ("/usr/lib/a.py", "/usr/bin/a", "/etc/a.conf", "/usr/lib/liba.so")
_PYTHON = b"""\
from a.b import (  # why
    c,
    d as e,
)
import os, sys; import x.y as z
if True: from . import f
try: importlib.import_module("a.b"); __import__(f"p.{q}")
except ImportError: subprocess.run(["git", "x"], shell=True); ctypes.util.find_library("m"); open("lib.so.1")
"""
_SHELL = b'#!/usr/bin/env -S A=b sh -e\n# no\nA=b git log | xargs rm; exec $x/bin/run "$(id)" `ls` && /usr/bin/a.so.1\n'


def _seeds() -> list[bytes]:
    plain = make_elf(needed=("libc.so.6",), soname="liba.so", runpath="$ORIGIN/..", interpreter="/lib/ld.so")
    return [
        b"\0" + _PYTHON,
        b"\1" + _SHELL,
        b"\1#!/usr/bin/perl -w\nsystem('/bin/ls'); exec `git`;\n",
        b"\1#!/usr/bin/python3\n" + _PYTHON,
        b"\2load_module /usr/lib/nginx/modules/a.so.1;\nroot /var/www/x;\n",
        b"\3" + plain + b"\0libz.so.1\0dlopen\0/usr/share/x\0=/usr/y\0",
    ]


def _evidence(data: bytes, room: Path) -> object:
    path = _PATHS[data[0] % len(_PATHS)] if data else "/etc/a.conf"
    found = evidence.read(path, data[1:])
    names = (
        *found.needed,
        *found.loads,
        *found.plugins,
        *found.paths,
        *found.commands,
        *found.imports,
        *found.mentions,
    )
    promise(sum(map(len, names)) <= 64 * len(data) + 4096, "evidence that grows when read")
    promise(decode(canonical(found), evidence.Evidence) == found, "evidence that isn't the same as JSON")
    return found


READERS = (
    Reader(
        *("evidence", "trim/evidence.py, trim/source.py", _seeds, _evidence),
        (
            *(b"import ", b"from ", b"import (", b"#", b".so.1\0", b"/usr/lib/"),
            *(b"subprocess", b"open(", b"exec ", b"`", b"=",),
        ),
    ),
)  # fmt: skip
