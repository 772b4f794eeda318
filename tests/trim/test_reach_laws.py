"""The algebra of cutting, over worlds made at random."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oslet.model.tree import Entry
from oslet.trim.evidence import Evidence

from .world import LIB, World, elf, files

NAMES = st.sampled_from(["a", "b", "c", "d"])
PATHS = st.one_of(
    NAMES.map(lambda n: f"/usr/bin/{n}"),
    NAMES.map(lambda n: f"{LIB}/lib{n}.so"),
    NAMES.map(lambda n: f"/usr/share/{n}/data"),
    NAMES.map(lambda n: f"/etc/init.d/{n}"),
    NAMES.map(lambda n: f"/usr/share/perl5/{n}.pm"),
    st.tuples(NAMES, NAMES).map(lambda n: f"/usr/bin/to-{n[0]} -> {n[1]}"),
)
SAID = st.builds(
    elf,
    NAMES.map(lambda n: f"lib{n}.so"),
    paths=st.lists(NAMES.map(lambda n: f"/usr/share/{n}"), max_size=1).map(tuple),
    commands=st.lists(NAMES, max_size=1).map(tuple),
)
WORLDS = st.dictionaries(
    st.sampled_from(["pa", "pb", "pc"]),
    st.dictionaries(PATHS, st.one_of(SAID, st.just(Evidence())), max_size=6),
    max_size=3,
)


def apart(packages: dict[str, dict[str, Evidence]]) -> dict[str, dict[str, Evidence]]:
    """Each path in one package only, as dpkg has it."""
    seen: set[str] = set()
    found: dict[str, dict[str, Evidence]] = {}
    for name, some in packages.items():
        found[name] = {path: said for path, said in some.items() if path.partition(" ")[0] not in seen}
        seen |= {path.partition(" ")[0] for path in some}
    return found


@given(WORLDS, st.lists(st.sampled_from(["pa", "pb"]), max_size=1), st.sampled_from(["safe", "lean"]))
def test_cutting_loses_nothing_twice_changes_nothing_and_every_chain_ends(
    packages: dict[str, dict[str, Evidence]], named: list[str], level: str
) -> None:
    world = World(**apart(packages))
    before = {e.path for e in world.tree.entries}
    once = world.cut(*named, command=["a"], trim=level)  # type: ignore[arg-type]
    kept = {e.path: e for e in once.entries}
    assert kept.keys() | {d.path for d in once.dropped} == before
    assert not kept.keys() & {d.path for d in once.dropped}
    assert all(entry.reason for entry in (*once.entries, *once.dropped))
    for entry in once.entries:
        assert chain_ends(entry, kept)
        assert entry.path.rpartition("/")[0] in {"", *kept}
        if entry.kind == "link" and f"/usr/bin/{entry.target}" in before:
            assert f"/usr/bin/{entry.target}" in kept
        for needed in world.said.get(entry.path, Evidence()).needed if entry.kind == "file" else ():
            assert f"{LIB}/{needed}" in kept or f"{LIB}/{needed}" not in before
    world.tree = once
    again = world.cut(*named, command=["a"], trim=level)  # type: ignore[arg-type]
    assert again.entries == once.entries


def chain_ends(entry: Entry, kept: dict[str, Entry]) -> bool:
    seen: set[str] = set()
    while entry.by:
        if entry.path in seen:
            return False
        seen.add(entry.path)
        entry = kept[entry.by]
    return True


@given(WORLDS, st.lists(PATHS.map(lambda p: p.partition(" ")[0]), max_size=2))
def test_keep_adds_and_takes_nothing_away(packages: dict[str, dict[str, Evidence]], keep: list[str]) -> None:
    world = World(**apart(packages))
    plain, more = world.cut(command=["a"]), world.cut(command=["a"], keep=keep)
    assert files(plain) <= files(more)
    assert set(keep) & files_before(world) <= files(more)


def files_before(world: World) -> set[str]:
    return {e.path for e in world.tree.entries if e.kind != "dir"}
