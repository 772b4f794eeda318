"""``diff``: the laws that a difference keeps, and what it says of small worlds."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from oslet.model.image import Image
from oslet.model.lock import Lock, Package, Wheel
from oslet.model.oslet import Start
from oslet.model.tree import Entry, Tree
from oslet.trim.difference import (
    Difference,
    PathChange,
    between_images,
    between_locks,
    between_trees,
    shares,
    versions_of,
)

entries = st.builds(
    Entry,
    path=st.sampled_from(["/a", "/a/b", "/c", "/d", "/e"]),
    kind=st.sampled_from(["file", "dir", "link"]),
    mode=st.sampled_from([0o644, 0o755]),
    uid=st.integers(0, 1),
    size=st.integers(0, 3),
    digest=st.sampled_from(["1", "2"]),
    origin=st.sampled_from(["web", "lib"]),
    reason=st.sampled_from(["named", "needed"]),
    by=st.sampled_from(["", "/a"]),
)


def some(found: Iterable[Entry]) -> tuple[Entry, ...]:
    by_path = {e.path: e for e in found}
    return tuple(by_path[path] for path in sorted(by_path))


trees = st.builds(Tree, st.lists(entries, max_size=5).map(some), st.lists(entries, max_size=5).map(some))
packages = st.builds(
    Package,
    name=st.sampled_from(["web", "lib"]),
    version=st.sampled_from(["1", "2"]),
    arch=st.just("amd64"),
    archive=st.just(""),
    path=st.just("pool/x"),
    size=st.just(1),
    sha256=st.sampled_from(["3", "4"]),
    by=st.sampled_from(["", "web"]),
    request=st.just("x"),
)
wheels = st.builds(
    Wheel,
    name=st.sampled_from(["web", "app"]),
    version=st.sampled_from(["1", "2"]),
    file=st.just("x.whl"),
    size=st.just(1),
    sha256=st.just("5"),
    by=st.just(""),
    request=st.just("x"),
)
locks = st.builds(
    Lock,
    wants=st.sampled_from(["6", "7"]),
    suite=st.just("trixie"),
    arch=st.just("amd64"),
    packages=st.lists(packages, max_size=2, unique_by=lambda p: p.name).map(
        lambda found: tuple(sorted(found, key=lambda p: p.name))
    ),
    wheels=st.lists(wheels, max_size=2, unique_by=lambda w: w.name).map(
        lambda found: tuple(sorted(found, key=lambda w: w.name))
    ),
)


def applied(found: tuple[Entry, ...], changes: Iterable[PathChange]) -> tuple[Entry, ...]:
    whole = {e.path: e for e in found}
    for change in changes:
        assert whole.pop(change.path, None) == change.before
        if change.after:
            whole[change.path] = change.after
    return tuple(whole[path] for path in sorted(whole))


def turned(found: Difference) -> Difference:
    """The way back."""

    def path(change: PathChange) -> PathChange:
        return PathChange(change.path, change.after, change.before, change.what)

    return Difference(
        tuple(msgspec.structs.replace(p, before=p.after, after=p.before) for p in found.packages),
        tuple(map(path, found.paths)),
        tuple(map(path, found.dropped)),
        tuple(msgspec.structs.replace(f, before=f.after, after=f.before) for f in found.facts),
    )


@given(trees, trees)
def test_a_difference_makes_one_tree_of_the_other(a: Tree, b: Tree) -> None:
    found = between_trees(a, b)
    assert applied(a.entries, found.paths) == b.entries
    assert applied(a.dropped, found.dropped) == b.dropped
    assert between_trees(b, a) == turned(found)
    assert between_trees(a, a).empty
    assert found.empty == (a == b)


@given(locks, locks)
def test_a_difference_of_locks_is_empty_only_for_equal_ones(a: Lock, b: Lock) -> None:
    found = between_locks(a, b)
    assert found.empty == (a == b)
    assert between_locks(b, a) == turned(found)
    assert {p.name for p in found.packages} <= versions_of(a).keys() | versions_of(b).keys()


@given(trees, trees)
def test_shares_add_up_to_the_whole_change(a: Tree, b: Tree) -> None:
    rows = shares(between_trees(a, b), ({}, {}))
    assert sum(row.bytes for row in rows) == b.size - a.size
    assert [abs(row.bytes) for row in rows] == sorted((abs(row.bytes) for row in rows), reverse=True)


def package(name: str, version: str) -> Package:
    return Package(name, version, "amd64", "", f"pool/{name}_{version}.deb", 1, version * 64, "", name)


def image(tree: Tree, lock: Lock, command: str) -> tuple[Image, Lock, Tree]:
    start = Start((command,))
    return Image("web", "amd64", "p", "t", "l", start, (), (), tree.files, tree.size, 0, 0), lock, tree


OLD = Tree(
    (
        Entry("/usr/bin/web", "file", 0o755, size=10, digest="a", origin="web", reason="named"),
        Entry("/usr/lib/x.so", "file", 0o644, size=5, digest="x", origin="libx", reason="needed"),
        Entry("/etc/web", "file", 0o644, size=1, digest="e", origin="web", reason="named"),
    )
)
NEW = Tree(
    (
        Entry("/usr/bin/web", "file", 0o755, size=30, digest="b", origin="web", reason="named"),
        Entry("/etc/web", "file", 0o600, uid=7, size=1, digest="e", origin="web", reason="of its user"),
    )
)


def test_what_a_difference_says() -> None:
    old = image(OLD, Lock("", "trixie", "amd64", packages=(package("web", "1"), package("libx", "1"))), "web")
    new = image(NEW, Lock("", "trixie", "amd64", packages=(package("web", "2"),)), "web2")
    found = between_images(old, new)
    assert [(p.name, p.what) for p in found.packages] == [("libx", ()), ("web", ("version", "path", "sha256"))]
    assert [(p.path, p.bytes, p.what) for p in found.paths] == [
        ("/etc/web", 0, ("mode", "owner", "reason")),
        ("/usr/bin/web", 20, ("content",)),
        ("/usr/lib/x.so", -5, ()),
    ]
    assert [(f.name, bytes(f.before), bytes(f.after)) for f in found.facts] == [("command", b'["web"]', b'["web2"]')]
    rows = shares(found, (versions_of(old[1]), versions_of(new[1])))
    assert [(r.origin, r.before, r.after, r.added, r.removed, r.changed, r.bytes) for r in rows] == [
        ("web", "1", "2", 0, 0, 2, 20),
        ("libx", "1", "", 0, 1, 0, -5),
    ]
