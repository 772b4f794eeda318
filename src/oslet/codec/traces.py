"""Trace ↔ its file: TOML, one line a path, so that a diff of two reads as what changed."""

from __future__ import annotations

import re
from typing import Any

from oslet.codec.declaration import parse_toml
from oslet.errors import DeclarationError
from oslet.model.watch import Trace

FORMAT = 1
MAX_BYTES = 32 << 20
MAX_PATHS = 500_000

_HEADER = """\
# What `oslet trace` saw used. A build that would leave one of these paths out fails; nothing else follows from it.
# Trace again after `oslet lock --upgrade`: it holds for the packages of one lock only.
"""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HINT = "write it anew with `oslet trace`, or remove it"


def write_trace(trace: Trace) -> str:
    """The text of a trace file. ``read_trace`` gives the same trace back; the same trace gives the same text."""
    import tomli_w

    head: dict[str, Any] = {"format": FORMAT, "lock": trace.lock, "used": sorted(trace.used)}
    return _HEADER + tomli_w.dumps(head)


def read_trace(text: str, where: str) -> Trace:
    """The trace that a trace file's text spells. DeclarationError at ``where`` if it spells none."""
    table = parse_toml(text, where)
    if table.get("format") != FORMAT:
        raise DeclarationError(f"trace format {table.get('format')!r} isn't {FORMAT}", where=where, hint=_HINT)
    lock, used = table.get("lock"), table.get("used")
    if not isinstance(lock, str) or not _SHA256.fullmatch(lock):
        raise DeclarationError("isn't a sha256 in hex", where=f"{where}: lock", hint=_HINT)
    if not isinstance(used, list) or len(used) > MAX_PATHS:
        raise DeclarationError(f"isn't a list of at most {MAX_PATHS} paths", where=f"{where}: used", hint=_HINT)
    if not all(isinstance(path, str) and path.startswith("/") for path in used):
        raise DeclarationError("holds what isn't an absolute path", where=f"{where}: used", hint=_HINT)
    return Trace(lock, tuple(sorted(set(used))))
