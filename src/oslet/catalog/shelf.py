"""What stands in the catalog: names, and what is said of each."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from oslet import catalog
from oslet.codec.kinds import kind_name, show
from oslet.codec.nearest import suggestion
from oslet.errors import DeclarationError
from oslet.model.oslet import Oslet
from oslet.model.param import BoolKind, EnumKind, IntKind, ListKind, Param, SecretKind, StrKind

NAMES = {re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower(): name for name in catalog.__all__}
"""What ``catalog:NAME`` means: the class."""


class Measured(NamedTuple):
    """An image's bytes and files, and how many milliseconds after the call an instance of it was healthy: the
    quickest of three starts, the later ones with a filled volume."""

    size: int
    files: int
    healthy: int


class Entry(NamedTuple):
    """One of the catalog: its name, its class's, its value, what was measured (None of one to be subclassed)."""

    name: str
    spelled: str
    oslet: Oslet
    measured: Measured | None

    @property
    def summary(self) -> str:
        """The first sentence of what it says of itself."""
        return self.oslet.help.partition("\n")[0].rstrip(".")

    @property
    def about(self) -> str:
        """The rest of it, in paragraphs."""
        return self.oslet.help.partition("\n")[2].strip()


def find(name: str) -> str:
    """The class that a name means; hyphens and capitals don't matter. DeclarationError with the nearest if none."""
    wanted = name.replace("-", "").lower()
    for spelled in NAMES.values():
        if spelled.lower() == wanted:
            return spelled
    hint = suggestion(name, NAMES, kind="the catalog has")
    raise DeclarationError(f"the catalog has no {name!r}", where=f"catalog:{name}", hint=hint)


@cache
def entry(name: str) -> Entry:
    spelled = find(name)
    short = next(each for each, other in NAMES.items() if other == spelled)
    found: Oslet = getattr(catalog, spelled).lower()
    return Entry(short, spelled, found, _measured().get(short))


def entries() -> tuple[Entry, ...]:
    """All of the catalog, in its order."""
    return tuple(map(entry, NAMES))


@cache
def _measured() -> dict[str, Measured]:
    import tomllib

    rows = tomllib.loads(Path(__file__).with_name("measured.toml").read_text("utf-8"))
    return {name: Measured(**row) for name, row in rows.items()}


def type_of(param: Param) -> str:
    """A param's type and what bounds it, in a few words."""
    kind = param.kind
    word = kind_name(kind)
    if isinstance(kind, EnumKind):
        return " or ".join(kind.choices)
    if isinstance(kind, ListKind):
        return f"list of {kind_name(kind.of)}"
    if isinstance(kind, SecretKind):
        return f"secret of at least {kind.min_length} characters" if kind.min_length else word
    if isinstance(kind, StrKind | BoolKind):
        return word
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if isinstance(kind, IntKind) and low is not None and high is not None:
        return f"{low} to {high}"
    return word


def default_of(param: Param) -> str:
    """What a param is when nothing is given: its default as a person writes it, ``none``, or ``required``."""
    if param.required:
        return "required"
    empty = param.default in ("", []) or param.default == ()
    return "none" if isinstance(param.kind, SecretKind) or empty else show(param.kind, param.default)
