"""Requests × index → locked packages, or an explanation. Pure: what is there to choose from comes in as a value."""

from __future__ import annotations

import re

from oslet.errors import ResolveError
from oslet.model.lock import Arch, Package
from oslet.model.oslet import Wants
from oslet.model.source import Debian
from oslet.solve.explain import explain
from oslet.solve.relations import Candidate, Index, Relation, groups
from oslet.solve.solver import REQUEST, Chosen, Search, Wanted
from oslet.solve.versions import key

__all__ = ["Candidate", "Index", "lock"]

_REQUEST = re.compile(r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?:=(?P<version>[A-Za-z0-9.+:~-]+))?")


def lock(wants: Wants, source: Debian, index: Index, arch: Arch) -> tuple[Package, ...]:
    """Exactly which Debian packages answer ``wants`` on an empty system, sorted by name, each with who brought it.

    Dependencies as Debian Policy chapter 7 has them, choices as apt makes them with nothing installed and pockets of
    equal priority: the newest version, the first alternative that can be had, what is chosen already before anything
    new, a real package before one that provides its name. Where that leads nowhere, other alternatives and then older
    versions are tried. Essential packages come only where something depends on them, recommended ones only if
    ``wants`` says so. Raises ResolveError with the chain of causes.
    """
    search = Search(index, arch)
    if dead := search.run([_wanted(text, index) for text in dict.fromkeys(wants.packages)]):
        raise explain(dead, index, source.suite)
    if wants.recommends:
        _recommended(search)
    return tuple(sorted((_package(chosen, search.trail) for chosen in search.trail), key=lambda p: p.name))


def _wanted(text: str, index: Index) -> Wanted:
    """A request as a relation; a virtual name with one provider stands for that, as apt has it."""
    match = _REQUEST.fullmatch(text)
    if match is None:
        raise ResolveError(
            f"{text!r} is no request for a Debian package",
            where="packages",
            hint='write a package\'s name, or "name=version"',
        )
    name, version = match["name"], match["version"] or ""
    if version:
        try:
            key(version)
        except ValueError as error:
            raise ResolveError(f"{text[:80]!r} asks for no version: {error}", where="packages") from None
    elif not index.candidates(name) and len({c.name for c in index.providers(name)}) == 1:
        name = index.providers(name)[0].name
    return Wanted(text, Relation(name, "", "=" if version else "", version))


def _recommended(search: Search) -> None:
    """Add what the chosen packages recommend, and what that recommends, where it goes together with all the rest."""
    number = 0
    while number < len(search.trail):
        for group in groups(search.trail[number].candidate.recommends):
            if not search.satisfied(group):
                search.extend(group, number)
        number += 1


def _package(chosen: Chosen, trail: list[Chosen]) -> Package:
    candidate = chosen.candidate
    return Package(
        name=candidate.name,
        version=candidate.version,
        arch=candidate.arch,
        archive=candidate.archive,
        path=candidate.path,
        size=candidate.size,
        sha256=candidate.sha256,
        by="" if chosen.owner == REQUEST else trail[chosen.owner].candidate.name,
        request=chosen.text,
    )
