"""The tables of options: what every kernel has, what a target has, and what evidence asks for (``rows/*.toml``)."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from oslet.model.kernel import SHARED, Class, Target

TARGETS: tuple[Target, ...] = ("microvm", "uml", "machine")
_COMMON = ("common", "evidence")


class Row(NamedTuple):
    """Options that belong together. They are in every kernel of their class and above, and derived where one of ``on``
    and all of ``given`` are facts of the image; a row without ``on`` is the target's own, always there."""

    symbols: tuple[str, ...]
    value: str
    name: Class
    why: str
    on: frozenset[str]
    given: frozenset[str]


class Edit(NamedTuple):
    """One change of the source: in ``file``, ``old`` stands exactly once and becomes ``new``."""

    file: str
    old: str
    new: str
    why: str


class Base(NamedTuple):
    """A target: its machine (``x86_64``), the kernel's name of its architecture (``x86``, ``um``), what ``make`` is to
    make and where that stands, the source's changes, and its rows. ``objects`` is about how many files the class
    ``full`` compiles; only progress tells it."""

    arch: str
    source: str
    goals: tuple[str, ...]
    products: tuple[tuple[str, str], ...]
    edits: tuple[Edit, ...]
    objects: int
    rows: tuple[Row, ...]


@cache
def base(target: Target) -> Base:
    """A target with its rows: the common ones first, so that its own may differ."""
    own = _read(target)
    rows = [row for name in _COMMON for row in _read(name)["row"]] + own["row"]
    return Base(
        arch=own["arch"],
        source=own["source"],
        goals=tuple(own["goals"]),
        products=tuple(own["products"].items()),
        edits=tuple(Edit(e["file"], e["from"], e["to"], e["why"]) for e in own.get("edit", ())),
        objects=own["objects"],
        rows=tuple(_row(row) for row in rows if target in row.get("targets", TARGETS)),
    )


class Modules(NamedTuple):
    """The options that any guest needs of the distribution's kernel, and the module behind an option."""

    always: tuple[str, ...]
    modules: dict[str, str]


@cache
def modules_of() -> Modules:
    table = _read("modules")
    return Modules(tuple(table["always"]), table["modules"])


def within(name: Class, other: Class) -> bool:
    """Whether kernels of the class ``other`` have what ``name``'s have."""
    return name in SHARED and other in SHARED and SHARED.index(name) <= SHARED.index(other)


def _row(row: dict[str, Any]) -> Row:
    return Row(
        symbols=tuple(row["symbols"]),
        value=row.get("value", "y"),
        name=row.get("class", "tiny"),
        why=row["why"],
        on=frozenset(row.get("on", ())),
        given=frozenset(row.get("given", ())),
    )


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / f"rows/{name}.toml").read_text("utf-8"))
