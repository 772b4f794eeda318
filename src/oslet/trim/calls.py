"""Calls of a tree: which system calls its files can make, and who reaches each. Pure.

A name that a file imports, or looks up by its text, counts as asked of every library that defines it: which one the
linker takes is not decided here. So the answer errs towards too much; what is left out nobody in the tree can ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from oslet.formats.code.calls import Calls
from oslet.formats.code.names import by_number

SHOWN = 4
"""How many who reach a call are kept."""


class Who(Struct, frozen=True):
    """The file at ``path`` makes a call by its own code, or asks for ``symbol`` of a ``library`` that makes it."""

    path: str
    symbol: str = ""
    library: str = ""

    def __str__(self) -> str:
        return f"{self.path} asks for {self.symbol} of {self.library}" if self.symbol else f"{self.path} itself"


class Reached(Struct, frozen=True):
    """A call, some who reach it, and how many there are."""

    name: str
    by: tuple[Who, ...]
    count: int


class Profile(Struct, frozen=True):
    """The calls that a tree's files can make, by name; ``dark`` are the files that may make any, each with where."""

    reached: tuple[Reached, ...]
    dark: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset(r.name for r in self.reached)


def profile(files: Mapping[str, Calls], machine: str) -> Profile:
    """The calls of ``files``, by path, that a ``machine`` (``x86_64``, ``aarch64``) can run."""
    own = {path: calls for path, calls in files.items() if calls.machine in (machine, "")}
    exports = {name for calls in own.values() for name in (*calls.named, *calls.dark_named)}
    asked: dict[str, list[str]] = {}
    for path, calls in sorted(own.items()):
        for name in sorted({*calls.imports, *calls.texts} & exports):
            asked.setdefault(name, []).append(path)
    found: dict[int, list[Who]] = {}
    dark: dict[str, str] = {}
    for path, calls in sorted(own.items()):
        for number in calls.always:
            found.setdefault(number, []).append(Who(path))
        if calls.dark:
            dark.setdefault(path, f"at {calls.dark}")
        for name, who in asked.items():
            for number in calls.named.get(name, ()):
                found.setdefault(number, []).extend(Who(w, name, path) for w in who)
            if name in calls.dark_named:
                dark.setdefault(who[0], f"by {name} of {path}")
    names = by_number(machine)
    reached = sorted((names[n], _nearest(who)) for n, who in found.items() if n in names)
    return Profile(
        tuple(Reached(name, tuple(who[:SHOWN]), len(who)) for name, who in reached), tuple(sorted(dark.items()))
    )


def _nearest(who: Iterable[Who]) -> list[Who]:
    """Each file once: by its own code if it does that."""
    once: dict[str, Who] = {}
    for each in who:
        if each.path not in once or not each.symbol:
            once[each.path] = each
    return sorted(once.values(), key=lambda w: (bool(w.symbol), w.path))
