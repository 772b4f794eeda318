"""The search: depth first in apt's order of preference, jumping back over choices that a dead end doesn't depend on.

Where apt finds an answer at its first try the search walks the same way and finds the same one. Each dead end knows
which choices it rests on (conflict-directed backjumping), so a choice that has nothing to do with it isn't tried anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from oslet.errors import ResolveError
from oslet.solve.explain import Clash, Dead
from oslet.solve.relations import Candidate, Group, Index, Relation, groups, relations
from oslet.solve.versions import satisfies

MAX_STEPS = 50_000
"""Choices that are tried before a request counts as too hard."""
MAX_PACKAGES = 20_000

REQUEST = -1
"""The owner of what the declaration itself asks for."""


class Chosen(NamedTuple):
    """One package of the answer, by whose relation it came (an index into the trail), and that relation's text."""

    candidate: Candidate
    owner: int
    text: str


class Goal(NamedTuple):
    """What is still to be done: find something for ``group``, or (without one) what request number ``owner`` needs."""

    group: Group | None
    owner: int
    rest: Goal | None


class Wanted(NamedTuple):
    """A request as a relation that only the package of that name answers."""

    text: str
    relation: Relation


class _Frame:
    """One choice: what was to be found, what would do and is yet untried, and what its failures so far rest on."""

    __slots__ = ("failures", "goal", "options", "rests_on")

    def __init__(self, goal: Goal, options: Iterator[Candidate]) -> None:
        self.goal = goal
        self.options = options
        self.rests_on = {goal.owner}
        self.failures: list[tuple[Candidate, Clash | Dead]] = []


class Search:
    """The state of one resolution. ``trail`` is the answer so far; frame *n* chose trail entry *n*."""

    def __init__(self, index: Index, arch: str) -> None:
        self._index = index
        self._arch = arch
        self.trail: list[Chosen] = []
        self._frames: list[_Frame] = []
        self._named: dict[str, int] = {}
        self._provided: dict[str, list[tuple[int, Relation]]] = {}
        self._forbidden: dict[str, list[tuple[int, str, Relation]]] = {}
        self._steps = 0
        self._requests: list[str] = []

    def run(self, wanted: Sequence[Wanted]) -> Dead | None:
        """Choose every wanted package, then what they need; the reason when that can't be done."""
        goals: Goal | None = None
        for number in reversed(range(len(wanted))):
            goals = Goal(None, number, goals)
        for want in reversed(wanted):
            goals = Goal(Group(want.text, (want.relation,)), REQUEST, goals)
        self._requests = [want.relation.name for want in wanted]
        return self._search(goals, 0)

    def extend(self, group: Group, owner: int) -> bool:
        """Add what ``group`` asks for and needs, if that goes together with everything chosen before."""
        return self._search(Goal(group, owner, None), len(self.trail)) is None

    def satisfied(self, group: Group) -> bool:
        """Whether something chosen answers one of the alternatives."""
        return any(self._answered(relation) for relation in group.choices)

    def _asked(self, group: Group) -> bool:
        """Whether a request is chosen already: by its own name, as another's Provides is no answer to it."""
        number = self._named.get(group.choices[0].name)
        return number is not None and self._is(self.trail[number].candidate, group.choices[0])

    def _search(self, goals: Goal | None, floor: int) -> Dead | None:
        while goals is not None:
            group, owner, rest = goals
            if group is None:
                goals = self._needs(self._named[self._requests[owner]], rest)
            elif self._asked(group) if owner == REQUEST else self.satisfied(group):
                goals = rest
            else:
                self._frames.append(_Frame(goals, self._options(group, owner)))
                found = self._advance(floor)
                if isinstance(found, Dead):
                    return found
                goals = found[0]
        return None

    def _advance(self, floor: int) -> tuple[Goal | None] | Dead:
        """Take the next option of the last choice, or of an earlier one that its failure rests on."""
        while True:
            frame = self._frames[-1]
            if (goals := self._try(frame)) is not None:
                return goals
            dead = self._dead(frame)
            back = max((n for n in frame.rests_on if n >= floor), default=None)
            if back is None:
                self._undo(floor)
                del self._frames[floor:]
                return dead
            rests_on = frame.rests_on
            failed = self.trail[back].candidate
            self._undo(back)
            del self._frames[back + 1 :]
            earlier = self._frames[back]
            earlier.rests_on |= rests_on - {back}
            earlier.failures.append((failed, dead))

    def _try(self, frame: _Frame) -> tuple[Goal | None] | None:
        """Choose the frame's first option that nothing chosen rules out; what is then to be done."""
        group, owner, rest = frame.goal
        assert group is not None
        for candidate in frame.options:
            self._steps += 1
            if self._steps > MAX_STEPS or len(self.trail) > MAX_PACKAGES:
                raise ResolveError(
                    f"gave up after {MAX_STEPS} tries",
                    where=f"packages: {self.trail[0].text if self.trail else group.text}",
                    hint='ask for fewer packages at once, or pin some as "name=version"',
                )
            if clash := self._clash(candidate):
                frame.rests_on.add(clash.cause)
                frame.failures.append((candidate, clash))
                continue
            self._choose(Chosen(candidate, owner, group.text))
            if owner == REQUEST:  # the others that are named come first: a Goal without a group follows for this one
                return (rest,)
            return (self._needs(len(self.trail) - 1, rest),)
        return None

    def _needs(self, number: int, rest: Goal | None) -> Goal | None:
        """The relations of trail entry ``number`` put before ``rest``."""
        candidate = self.trail[number].candidate
        for field in (candidate.depends, candidate.pre_depends):
            for group in reversed(groups(field)):
                rest = Goal(group, number, rest)
        return rest

    def _options(self, group: Group, owner: int) -> Iterator[Candidate]:
        """Everything that answers ``group``: newest versions in the order of the alternatives, then older versions.

        Made as it is asked for: most choices end with the first, and who provides a name is a search of its own.
        """
        seen: set[str] = set()
        for relation in filter(self._our_arch, group.choices):
            for candidate in self._index.candidates(relation.name)[:1]:
                if candidate.name not in seen and self._is(candidate, relation):
                    seen.add(candidate.name)
                    yield candidate
            if owner != REQUEST:
                for candidate in self._providers(relation):
                    if candidate.name not in seen:
                        seen.add(candidate.name)
                        yield candidate
        for relation in filter(self._our_arch, group.choices):
            yield from (c for c in self._index.candidates(relation.name)[1:] if self._is(c, relation))

    def _providers(self, relation: Relation) -> Iterator[Candidate]:
        """Who provides it, in apt's order: essential ones, by priority, then the one that the index mentions last."""
        found = self._index.providers(relation.name)
        for candidate in sorted(found, key=lambda c: (not c.essential, c.priority, -c.place, c.name)):
            if candidate.name != relation.name and any(_gives(p, relation) for p in relations(candidate.provides)):
                yield candidate

    def _our_arch(self, relation: Relation) -> bool:
        return relation.arch in ("", "any", "native", "all", self._arch)

    def _is(self, candidate: Candidate, relation: Relation) -> bool:
        """Whether the package of that very name answers the relation (``:any`` wants Multi-Arch: allowed)."""
        if relation.arch == "any" and candidate.multi_arch != "allowed":
            return False
        return satisfies(candidate.version, relation.operator, relation.version)

    def _answered(self, relation: Relation) -> bool:
        if not self._our_arch(relation):
            return False
        number = self._named.get(relation.name)
        if number is not None and self._is(self.trail[number].candidate, relation):
            return True
        return any(_gives(provided, relation) for _, provided in self._provided.get(relation.name, ()))

    def _clash(self, candidate: Candidate) -> Clash | None:
        """What was chosen and can't stand beside ``candidate``; the earliest such choice."""
        found = [*self._refused(candidate), *self._refuses(candidate)]
        return min(found, key=lambda clash: clash.cause, default=None)

    def _refused(self, candidate: Candidate) -> Iterator[Clash]:
        if (number := self._named.get(candidate.name)) is not None:
            yield Clash(number, self.trail[number].candidate, "other version", "")
        for number, word, relation in self._forbidden.get(candidate.name, ()):
            if satisfies(candidate.version, relation.operator, relation.version):
                yield Clash(number, self.trail[number].candidate, word, str(relation))
        for provided in relations(candidate.provides):
            for number, word, relation in self._forbidden.get(provided.name, ()):
                if _gives(provided, relation) and self.trail[number].candidate.name != candidate.name:
                    yield Clash(number, self.trail[number].candidate, word, str(relation))

    def _refuses(self, candidate: Candidate) -> Iterator[Clash]:
        for word, relation in _forbids(candidate):
            if not self._our_arch(relation):
                continue
            number = self._named.get(relation.name)
            if number is not None and satisfies(
                self.trail[number].candidate.version, relation.operator, relation.version
            ):
                yield Clash(number, self.trail[number].candidate, f"is {word} of", str(relation))
            for number, provided in self._provided.get(relation.name, ()):
                if _gives(provided, relation) and self.trail[number].candidate.name != candidate.name:
                    yield Clash(number, self.trail[number].candidate, f"is {word} of", str(relation))

    def _choose(self, chosen: Chosen) -> None:
        number = len(self.trail)
        candidate = chosen.candidate
        self.trail.append(chosen)
        self._named[candidate.name] = number
        for provided in relations(candidate.provides):
            self._provided.setdefault(provided.name, []).append((number, provided))
        for word, relation in _forbids(candidate):
            if self._our_arch(relation):
                self._forbidden.setdefault(relation.name, []).append((number, word, relation))

    def _undo(self, length: int) -> None:
        """Take back the trail from its end to ``length``: each list's last entries are this choice's."""
        while len(self.trail) > length:
            candidate = self.trail.pop().candidate
            del self._named[candidate.name]
            for provided in relations(candidate.provides):
                self._provided[provided.name].pop()
            for _, relation in _forbids(candidate):
                if self._our_arch(relation):
                    self._forbidden[relation.name].pop()

    def _dead(self, frame: _Frame) -> Dead:
        group, owner, _ = frame.goal
        assert group is not None
        chain: list[tuple[Candidate, str]] = []
        while owner != REQUEST:
            chosen = self.trail[owner]
            chain.append((chosen.candidate, chosen.text))
            owner = chosen.owner
        return Dead(tuple(reversed(chain)), group, tuple(frame.failures))


def _forbids(candidate: Candidate) -> Iterator[tuple[str, Relation]]:
    for word, field in (("conflicts", candidate.conflicts), ("breaks", candidate.breaks)):
        if field:
            for relation in relations(field):
                yield word, relation


def _gives(provided: Relation, relation: Relation) -> bool:
    """Whether a provided name answers a relation on it: one with a version needs a provided version (Policy 7.5)."""
    if relation.arch == "any" and provided.arch != "any":
        return False
    if not relation.operator:
        return True
    return provided.operator == "=" and satisfies(provided.version, relation.operator, relation.version)
