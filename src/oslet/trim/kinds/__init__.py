"""Kinds of paths and kinds of reasons, as people say them. Data: ``types.toml`` and ``reasons.toml``. Pure."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from oslet.model.tree import Entry
from oslet.trim.rules import globs

__all__ = ["reason_kind", "type_of"]


class _Type(NamedTuple):
    """One row of types.toml: its name, a pattern of whole paths, and whether only programs match."""

    name: str
    paths: re.Pattern[str]
    program: bool


class _Reason(NamedTuple):
    """One row of reasons.toml: whose reasons it is for, a pattern found in them, and its name ("": the first group)."""

    kept: bool
    pattern: re.Pattern[str]
    name: str


def type_of(entry: Entry) -> str:
    """What a path is: ``library``, ``program``, ``byte code``, …; ``data`` where no row knows better."""
    if entry.kind != "file":
        return "folder" if entry.kind == "dir" else "link"
    rows = (r for r in _types() if r.paths.fullmatch(entry.path) and (entry.program or not r.program))
    found = next(rows, None)
    return found.name if found else "data"


def reason_kind(reason: str, *, kept: bool, found: bool) -> str:
    """The kind of one reason; ``found`` says whether its evidence was found in a kept path."""
    for row in _reasons():
        if row.kept == kept and (match := row.pattern.search(reason)):
            return row.name or match[1]
    if not kept:
        return "left out for a reason of its own"
    return "found in what stays" if found else "a reason of its own"


@cache
def _types() -> tuple[_Type, ...]:
    return tuple(
        _Type(row["name"], globs(tuple(row["paths"])), row.get("program", False)) for row in _rows("type", "types.toml")
    )


@cache
def _reasons() -> tuple[_Reason, ...]:
    return tuple(
        _Reason(row["of"] == "kept", re.compile(row["pattern"]), row.get("name", ""))
        for row in _rows("reason", "reasons.toml")
    )


def _rows(table: str, file: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / file).read_text("utf-8"))[table]
    return rows
