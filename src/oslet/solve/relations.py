"""Relations between packages as they are written (Debian Policy chapter 7), and what there is to choose from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from oslet.errors import IntegrityError
from oslet.solve.versions import MAX_VERSION, key

MAX_RELATIONS = 1 << 20
"""Characters of the longest relation field that is read."""

_OLD = {"<": "<=", ">": ">="}
_RELATION = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9+._-]*)(?::(?P<arch>[a-z0-9-]+))?"
    r"(?:\s*\(\s*(?P<operator><<|<=|=|>=|>>|<|>)\s*(?P<version>[^\s()]+)\s*\))?"
    r"(?:\s*\[[^\]]*\])?(?:\s*<[^>]*>)*"
)


class Relation(NamedTuple):
    """``name[:arch] [(operator version)]``: one alternative of a dependency, one conflict, one provided name."""

    name: str
    arch: str = ""
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        qualified = f"{self.name}:{self.arch}" if self.arch else self.name
        return f"{qualified} ({self.operator} {self.version})" if self.operator else qualified


class Group(NamedTuple):
    """Alternatives, of which one will do; ``text`` is as the package wrote it."""

    text: str
    choices: tuple[Relation, ...]


@lru_cache(maxsize=1 << 15)
def groups(text: str) -> tuple[Group, ...]:
    """The alternatives that a relation field asks for, in order. Raises IntegrityError on what is no relation."""
    if len(text) > MAX_RELATIONS:
        raise IntegrityError(f"a relation field of {len(text)} characters")
    return tuple(_group(part) for part in text.split(",") if part.strip())


def _group(text: str) -> Group:
    clean = " ".join(text.split())
    return Group(clean, tuple(_relation(choice.strip()) for choice in clean.split("|")))


def _relation(text: str) -> Relation:
    match = _RELATION.fullmatch(text)
    if match is None or len(match["version"] or "") > MAX_VERSION:
        raise IntegrityError(f"{text[:60]!r} is no relation between packages", hint="see Debian Policy, chapter 7")
    if match["version"]:
        try:
            key(match["version"])
        except ValueError as error:
            raise IntegrityError(f"{text[:60]!r} names no version: {error}") from None
    operator = match["operator"] or ""
    return Relation(match["name"], match["arch"] or "", _OLD.get(operator, operator), match["version"] or "")


def relations(text: str) -> tuple[Relation, ...]:
    """Every relation of a field without alternatives: Conflicts, Breaks, Provides."""
    return tuple(relation for group in groups(text) for relation in group.choices)


class Candidate(NamedTuple):
    """One version of a package, as an index describes it; relation fields are texts, read when they are needed.

    ``archive`` and ``path`` say where its file is, ``size`` is in bytes. ``priority`` is 1 (required) to 5 (extra),
    ``place`` is when the index first mentions the name: among equal providers apt takes the one mentioned last.
    """

    name: str
    version: str
    arch: str = "all"
    multi_arch: str = ""
    essential: bool = False
    priority: int = 4
    place: int = 0
    pre_depends: str = ""
    depends: str = ""
    recommends: str = ""
    conflicts: str = ""
    breaks: str = ""
    provides: str = ""
    archive: str = ""
    path: str = ""
    size: int = 0
    sha256: str = ""


class Index(Protocol):
    """What a source offers, for one architecture."""

    def candidates(self, name: str) -> Sequence[Candidate]:
        """Every version of the package of that name, newest first."""
        ...

    def providers(self, name: str) -> Sequence[Candidate]:
        """The newest version of every package whose Provides has that name; in any order."""
        ...

    def names(self) -> Sequence[str]:
        """Every package's name, for suggestions."""
        ...
