"""Rules as data: what is left out and why, what kinds of files there are, and what packages can do without."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

_TOKEN = re.compile(r"\*\*|\*|[^*]+")
Effect: TypeAlias = Literal["each", "language", "licence", "data"]


class Rule(NamedTuple):
    """One rule: a compiled pattern of whole paths, its exceptions, and one sentence why.

    With ``named`` it holds for named packages too, with ``image`` for what an image that the declaration starts from
    has beside its packages; it rests where the declaration names one of ``unless``.
    """

    name: str
    paths: re.Pattern[str]
    but: re.Pattern[str] | None
    named: bool
    image: bool
    unless: frozenset[str]
    reason: str

    def leaves_out(self, path: str) -> bool:
        return bool(self.paths.fullmatch(path)) and not (self.but and self.but.fullmatch(path))


class Kind(NamedTuple):
    """One kind of files: by what those of packages that nobody names stay (``rules/kinds.toml``)."""

    name: str
    effect: Effect
    paths: re.Pattern[str]
    by: re.Pattern[str]
    calls: frozenset[str]
    reason: str


class Feature(NamedTuple):
    """One switch of a declaration: the paths it is about and what holds where the declaration doesn't say. One that is
    ``after`` the cut takes no part in it."""

    name: str
    type: Literal["bool", "text", "list"]
    default: bool | Literal["reached"]
    paths: re.Pattern[str]
    help: str
    after: bool = False


class Blind(NamedTuple):
    """Evidence that is none: words in ``source`` that name what ``to`` matches, calls in it of ``calls``, imports of
    modules that ``imports`` matches, and with ``mentions`` every dotted name in its texts."""

    source: re.Pattern[str]
    to: re.Pattern[str]
    calls: frozenset[str]
    imports: re.Pattern[str]
    mentions: bool


_NEVER = re.compile("(?!)")
DATA = Kind("data", "data", _NEVER, _NEVER, frozenset(), "data stays with the programs and libraries of its package")
EACH = Kind("module", "each", _NEVER, _NEVER, frozenset(), "a module stays when something that stays imports it")


def globs(patterns: Iterable[str]) -> re.Pattern[str]:
    """A pattern that whole paths match: ``*`` stays within a segment, ``**`` crosses segments.

    ``/a/**`` matches what is below ``/a``, not ``/a`` itself.
    """
    spelled = {"**": ".+", "*": "[^/]*"}
    texts = ["".join(spelled.get(t) or re.escape(t) for t in _TOKEN.findall(p)) for p in patterns]
    return re.compile("|".join(texts) or "(?!)", re.DOTALL)


@cache
def rules(level: str = "packages") -> tuple[Rule, ...]:
    """The rules of one file, in its order; the first that matches a path decides."""
    return tuple(
        Rule(
            name=row["name"],
            paths=globs(row["paths"]),
            but=globs(row["but"]) if "but" in row else None,
            named=row.get("named", True),
            image=row.get("image", False),
            unless=frozenset(row.get("unless", ())),
            reason=row["reason"],
        )
        for row in rows(level)["rule"]
    )


@cache
def kinds() -> tuple[Kind, ...]:
    """The kinds of files, in order; the first that matches a path decides, and what matches none is data."""
    return tuple(
        Kind(
            row["name"],
            row["effect"],
            globs(row["paths"]),
            globs(row.get("by", ())),
            frozenset(row.get("calls", ())),
            row["reason"],
        )
        for row in rows("kinds")["kind"]
    )


@cache
def blinds() -> tuple[Blind, ...]:
    return tuple(
        Blind(
            globs(row["from"]),
            globs(row["to"]),
            frozenset(row.get("calls", ())),
            globs(row.get("imports", ())),
            row.get("mentions", False),
        )
        for row in rows("kinds")["blind"]
    )


@cache
def startup() -> tuple[str, ...]:
    """The modules that Python imports at every start, whatever the application is."""
    return tuple(rows("kinds")["startup"]["modules"])


@cache
def features() -> Mapping[str, Feature]:
    """The features there are, by name."""
    found = (
        Feature(row["name"], row["type"], row["default"], globs(row.get("paths", ())), row["help"], "after" in row)
        for row in rows("features")["feature"]
    )
    return {feature.name: feature for feature in found}


@cache
def rows(name: str) -> dict[str, Any]:
    """One file of rules as it is written."""
    return tomllib.loads((Path(__file__).parent / f"rules/{name}.toml").read_text("utf-8"))
