"""Why a request has no answer, as sentences: the chain from the declaration to what can't be had."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import NamedTuple

from oslet.errors import MAX_LINES, ResolveError
from oslet.solve.relations import Candidate, Group, Index, Relation

MAX_OPTIONS = 3
"""Failed alternatives that are told of; more are counted."""


class Clash(NamedTuple):
    """Something chosen (``cause``, an index into the trail) rules a candidate out.

    ``word`` is ``conflicts`` or ``breaks`` when the chosen one's relation does it, ``is conflicts of`` or ``is breaks
    of`` when the candidate's does, and ``other version`` when both are of one name.
    """

    cause: int
    chosen: Candidate
    word: str
    relation: str


class Dead(NamedTuple):
    """A relation that nothing answers: who has it (from the declaration on), and why each candidate failed."""

    chain: tuple[tuple[Candidate, str], ...]
    group: Group
    failures: tuple[tuple[Candidate, Clash | Dead], ...]


def explain(dead: Dead, index: Index, suite: str) -> ResolveError:
    """The error that says it, in at most a dozen lines with its hint."""
    wanted = dead.chain[0][1] if dead.chain else dead.group.text
    lines = list(dict.fromkeys(_sentences(dead, index, suite, set(), 0)))
    if len(lines) > MAX_LINES - 2:
        lines = [*lines[: MAX_LINES - 3], f"… and {len(lines) - MAX_LINES + 3} reasons more"]
    return ResolveError("\n".join(lines), where=f"packages: {wanted}", hint=_hint(dead, index, suite))


def _sentences(dead: Dead, index: Index, suite: str, told: set[str], depth: int) -> Iterator[str]:
    chain = [f"{c.name} {c.version}" for c, _ in dead.chain]
    if dead.chain:
        steps = [
            f"{chain[n - 1]} needs {text}" if text != c.name else f"{chain[n - 1]} needs {c.name}"
            for n, (c, text) in enumerate(dead.chain)
            if n and c.name not in told
        ]
        told.update(c.name for c, _ in dead.chain)
        yield from steps
        lead = f"{chain[-1]} depends on {dead.group.text}"
    else:
        lead = f"{dead.group.text} is asked for"
    if not dead.failures:
        yield f"{lead}, but {_absent(dead.group, index, suite)}"
        return
    for candidate, failure in dead.failures[:MAX_OPTIONS]:
        if isinstance(failure, Clash):
            yield f"{lead}, but {_clash(candidate, failure)}"
        elif depth < MAX_LINES:
            yield from _sentences(failure, index, suite, told, depth + 1)
    if len(dead.failures) > MAX_OPTIONS:
        yield f"{lead}; {len(dead.failures) - MAX_OPTIONS} other candidates fail too"


def _clash(candidate: Candidate, clash: Clash) -> str:
    new = f"{candidate.name} {candidate.version}"
    other = f"{clash.chosen.name} {clash.chosen.version}"
    if clash.word == "other version":
        return f"{new} can't stand beside {other}, which is chosen already"
    if clash.word.startswith("is "):
        return f"{new} {_verb(clash.word[3:-3])} {_meant(clash.relation, clash.chosen)}"
    return f"{other} {_verb(clash.word)} {_meant(clash.relation, candidate)}"


def _verb(word: str) -> str:
    return "conflicts with" if word == "conflicts" else "breaks"


def _meant(relation: str, package: Candidate) -> str:
    """The relation, and how ``package`` comes under it where that isn't plain."""
    if relation == package.name:
        return f"{package.name} {package.version}"
    if relation.split(" ")[0] == package.name:
        return f"{relation}, as {package.version} is"
    return f"{relation}, which {package.name} {package.version} provides"


def _absent(group: Group, index: Index, suite: str) -> str:
    return "; ".join(_one_absent(relation, index, suite) for relation in group.choices[:MAX_OPTIONS])


def _one_absent(relation: Relation, index: Index, suite: str) -> str:
    versions = list(dict.fromkeys(c.version for c in index.candidates(relation.name)))
    if versions and relation.arch == "any":
        return f"{relation.name} may not be shared between architectures"
    if versions:
        return f"{suite} has {relation.name} {' and '.join(versions[:3])}"
    providers = sorted(index.providers(relation.name))
    if providers and relation.operator:
        return f"{suite} has only {providers[0].name} {providers[0].version}, which doesn't provide that version"
    return f"{suite} has no {relation.name}"


def _hint(dead: Dead, index: Index, suite: str) -> str:
    """For a name that the declaration gets wrong, what it may have meant."""
    name = dead.group.choices[0].name
    if _clashes(dead):
        return "these can't stand in one image: leave one of them out, or ask for other versions"
    if dead.chain or index.candidates(name):
        return "" if dead.chain or dead.failures else "ask for a version that is there, or for none in particular"
    if providers := sorted({c.name for c in index.providers(name)}):
        return f"it is a virtual package: ask for one that provides it, as {' or '.join(providers[:5])}"
    near = nearest(name, index)
    return f"did you mean {' or '.join(near)}?" if near else f"look for its name in {suite}, or set another suite"


def _clashes(dead: Dead, depth: int = 0) -> bool:
    told = dead.failures if depth < 100 else ()
    return any(isinstance(failure, Clash) or _clashes(failure, depth + 1) for _, failure in told)


def nearest(name: str, index: Index) -> list[str]:
    """The names most like ``name``, at most three."""
    names = index.names()
    same = [n for n in names if n[:1] == name[:1] and abs(len(n) - len(name)) <= 3]
    return difflib.get_close_matches(name, same, 3, 0.75) or difflib.get_close_matches(
        name, [n for n in names if abs(len(n) - len(name)) <= 2], 3, 0.75
    )
