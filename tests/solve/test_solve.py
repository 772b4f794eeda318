"""Requests × index → packages: each test is a world on a few lines."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oslet.errors import MAX_LINES, IntegrityError, ResolveError
from oslet.model.lock import Package
from oslet.model.oslet import Wants
from oslet.model.source import Debian
from oslet.solve import Candidate, lock
from oslet.solve.relations import groups, relations
from oslet.solve.versions import key, satisfies


class World:
    """An index of packages written as ``"name version | Field: value | …"``."""

    def __init__(self, *packages: str) -> None:
        self._all = [_candidate(place, text) for place, text in enumerate(packages)]

    def candidates(self, name: str) -> Sequence[Candidate]:
        return sorted((c for c in self._all if c.name == name), key=lambda c: key(c.version), reverse=True)

    def providers(self, name: str) -> Sequence[Candidate]:
        names = {c.name for c in self._all if any(r.name == name for r in relations(c.provides))}
        return [self.candidates(name)[0] for name in names]

    def names(self) -> Sequence[str]:
        return sorted({c.name for c in self._all})


def _candidate(place: int, text: str) -> Candidate:
    head, *fields = [part.strip() for part in text.split(";")]
    name, _, version = head.partition(" ")
    named = {f.partition(":")[0].lower().replace("-", "_"): f.partition(":")[2].strip() for f in fields}
    priority = int(named.pop("priority", "4"))
    return Candidate(
        name,
        version or "1",
        place=place,
        priority=priority,
        size=1,
        sha256=name.ljust(64, "0"),
        path=name,
        **named,  # type: ignore[arg-type]
    )


def solved(world: World, *wants: str, recommends: bool = False) -> tuple[Package, ...]:
    return lock(Wants(wants, recommends=recommends), Debian("trixie"), world, "amd64")


def names(world: World, *wants: str, recommends: bool = False) -> str:
    return " ".join(
        f"{p.name}={p.version}" if p.version != "1" else p.name for p in solved(world, *wants, recommends=recommends)
    )


def refused(world: World, *wants: str) -> str:
    with pytest.raises(ResolveError) as caught:
        solved(world, *wants)
    text = str(caught.value)
    assert len(text.splitlines()) <= MAX_LINES
    return text


def test_depends_and_pre_depends_and_who_brought_what() -> None:
    world = World("web; depends: lib (>= 1), sh", "lib 1.2; pre-depends: libc", "libc", "sh", "other")
    assert [(p.name, p.by, p.request) for p in solved(world, "web")] == [
        ("lib", "web", "lib (>= 1)"),
        ("libc", "lib", "libc"),
        ("sh", "web", "sh"),
        ("web", "", "web"),
    ]


@pytest.mark.parametrize(
    ("packages", "wants", "answer"),
    [
        (["a; depends: x | b | c", "b", "c"], "a", "a b"),  # the first alternative that is there
        (["a; depends: b | c, c", "b", "c"], "a", "a b c"),  # …as seen when its turn comes
        (["a; depends: c, b | c", "b", "c"], "a", "a c"),  # what is chosen already is preferred
        (["a; depends: b | c", "b", "c"], "a c", "a c"),  # …and what is named is chosen first
        (["a; depends: mta", "x; provides: mta", "mta"], "a", "a mta"),  # a real package before a provider
        (["a; depends: mta", "x; provides: mta", "y; provides: mta; priority: 2"], "a", "a y"),  # by priority
        (["a; depends: mta", "y; provides: mta", "x; provides: mta"], "a", "a x"),  # then the last one mentioned
        (["a; depends: v (>= 2)", "x; provides: v", "y; provides: v (= 2)"], "a", "a y"),  # versioned Provides
        (["a; depends: b", "b 1", "b 2"], "a", "a b=2"),  # the newest
        (["a; depends: b", "b 1", "b 2"], "a b=1", "a b"),  # unless pinned
        (["a; depends: b (= 1)", "b 1", "b 2"], "a", "a b"),  # an older one when nothing else will do
        (["a; depends: b:any", "b; multi_arch: allowed"], "a", "a b"),
        (["a; depends: b:any", "c; provides: b:any"], "a", "a c"),
        (["a; depends: b:amd64, c:native", "b", "c"], "a", "a b c"),
        (["a; depends: b", "b; depends: a"], "a", "a b"),  # a circle
        (["a; conflicts: v; provides: v", "b"], "a b", "a b"),  # it doesn't conflict with itself
        (["a; breaks: b (<< 2)", "b 2"], "a b", "a b=2"),
        (["a; conflicts: b:i386", "b"], "a b", "a b"),
        (["x; provides: mta"], "mta", "x"),  # a virtual name with one provider
        (["a", "b; essential: "], "", ""),
    ],
)
def test_policy(packages: list[str], wants: str, answer: str) -> None:
    assert names(World(*packages), *wants.split()) == answer


@pytest.mark.parametrize(
    ("packages", "wants", "answer"),
    [
        # the first alternative conflicts with what a later relation needs
        (["a; depends: b | c, d", "b", "c", "d; conflicts: b"], "a", "a c d"),
        # …three levels down
        (["a; depends: b | c, d", "b; depends: e", "c", "d; depends: f", "e", "f; breaks: e"], "a", "a c d f"),
        # the newest version's needs can't be met
        (["a; depends: b", "b 2; depends: gone", "b 1"], "a", "a b"),
        # a pin rules out the first provider
        (["a; depends: v", "x 1; provides: v; conflicts: p", "y; provides: v", "p 1", "p 2"], "p=1 a", "a p y"),
        # two requests that need siblings of one version
        (["a; depends: c (= 1)", "b; depends: c", "c 1", "c 2"], "b a", "a b c"),
    ],
)
def test_where_greedy_fails(packages: list[str], wants: str, answer: str) -> None:
    assert names(World(*packages), *wants.split()) == answer


def test_a_dead_end_far_from_its_cause_is_left_at_once() -> None:
    """Forty free choices stand between the wrong one and its dead end: trying them all would be 2**40 steps."""
    between = [f"n{n}; depends: x{n} | y{n}" for n in range(40)]
    leaves = [f"{letter}{n}" for n in range(40) for letter in "xy"]
    needs = ", ".join(f"n{n}" for n in range(40))
    world = World(f"a; depends: b | c, {needs}, d", "b", "c", "d; conflicts: b", *between, *leaves)
    start = time.process_time()
    assert " c d " in names(world, "a")
    assert time.process_time() - start < 5


def test_recommended_packages_only_when_asked_and_where_they_fit() -> None:
    world = World("a; recommends: b, c, gone", "b; recommends: d", "c; conflicts: a", "d")
    assert names(world, "a") == "a"
    assert names(world, "a", recommends=True) == "a b d"


def test_the_chain_of_causes() -> None:
    world = World("web; depends: nginx", "nginx 1.26; depends: libssl3 (>= 3.5)", "libssl3 3.4.1")
    text = refused(world, "web")
    assert "web 1 needs nginx" in text
    assert "nginx 1.26 depends on libssl3 (>= 3.5), but trixie has libssl3 3.4.1" in text


def test_a_conflict_says_who() -> None:
    text = refused(World("a; depends: b", "b 3; conflicts: c", "c 2"), "a", "c")
    assert "b 3 conflicts with c" in text and "c 2" in text


def test_a_typo_and_a_virtual_name_and_a_version_that_is_not_there() -> None:
    world = World("nginx", "x; provides: mta", "y; provides: mta")
    assert "did you mean nginx?" in refused(world, "ngimx")
    assert "x or y" in refused(world, "mta")
    assert "trixie has nginx 1" in refused(world, "nginx=2")
    assert "no request" in refused(world, "Nginx >= 2")


def test_long_stories_are_cut() -> None:
    chain = [f"p{n}; depends: p{n + 1}" for n in range(60)]
    refused(World(*chain, "p60; depends: gone"), "p0")
    many = ", ".join(f"v{n} | w{n}" for n in range(30))
    refused(World(f"a; depends: {many}"), "a")


def test_what_is_no_relation() -> None:
    with pytest.raises(IntegrityError, match="no relation"):
        solved(World("a; depends: b (~ 1)"), "a")
    with pytest.raises(IntegrityError, match="no version"):
        solved(World("a; depends: b (= x:1)", "b"), "a")


letters = st.sampled_from("abcdef")
relation = st.builds(lambda n, v: f"{n} (>= {v})" if v else n, letters, st.sampled_from(["", "1", "2"]))
group = st.lists(relation, min_size=1, max_size=3).map(" | ".join)
package = st.builds(
    lambda n, v, d, c: f"{n} {v}; depends: {', '.join(d)}; conflicts: {', '.join(c)}",
    letters,
    st.sampled_from("12"),
    st.lists(group, max_size=3),
    st.lists(relation, max_size=1),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(package, min_size=1, max_size=9, unique_by=lambda p: p[:3]), st.sets(letters, min_size=1, max_size=2))
def test_an_answer_holds_and_none_means_there_is_none(packages: list[str], wants: set[str]) -> None:
    world = World(*packages)
    try:
        chosen = {p.name: p.version for p in solved(world, *sorted(wants))}
    except ResolveError:
        assert not any(_holds(world, choice, wants) for choice in _subsets(world))
    else:
        assert _holds(world, chosen, wants)


def _subsets(world: World) -> list[dict[str, str]]:
    """Every set of packages with one version each: at most 3**6."""
    found: list[dict[str, str]] = [{}]
    for name in world.names():
        found += [{**one, name: c.version} for one in found for c in world.candidates(name)]
    return found


def _holds(world: World, chosen: dict[str, str], wants: set[str]) -> bool:
    picked = [next(c for c in world.candidates(n) if c.version == v) for n, v in chosen.items()]
    if not wants <= set(chosen):
        return False
    for candidate in picked:
        for need in groups(candidate.depends):
            if not any(r.name in chosen and satisfies(chosen[r.name], r.operator, r.version) for r in need.choices):
                return False
        for r in relations(candidate.conflicts):
            if r.name != candidate.name and r.name in chosen and satisfies(chosen[r.name], r.operator, r.version):
                return False
    return True
