"""Trees on disk: hard links, modes, and nothing outside."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from oslet.codec import digest as digest_of
from oslet.errors import IntegrityError
from oslet.model.tree import Entry, Tree
from oslet.store import Store
from tests.store import world


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_tree_is_a_hard_link_farm(store: Store) -> None:
    data = store.put(b"#!/bin/sh\n", 0o4755)
    tree = Tree(
        (
            Entry("/bin", "link", 0o777, target="usr/bin"),
            Entry("/tmp", "dir", 0o1777),
            Entry("/usr", "dir", 0o755),
            Entry("/usr/bin", "dir", 0o500),
            Entry("/usr/bin/su", "file", 0o4755, size=10, digest=data),
        )
    )
    root = store.lay_down(tree)
    assert root == store.laid_down(digest_of(tree)) == store.lay_down(tree)
    su = root / "bin/su"
    assert su.samefile(store.object(data, 0o755))
    assert stat.S_IMODE(su.stat().st_mode) == 0o755  # never set-id on disk
    assert [stat.S_IMODE((root / d).stat().st_mode) for d in ("", "tmp", "usr/bin")] == [0o755, 0o1777, 0o755]
    assert {p.lstat().st_mtime for p in (root, root / "bin", root / "usr", su)} == {1}


def test_modes_made_at_need(store: Store) -> None:
    digest = store.put(b"x", 0o644)
    root = store.lay_down(Tree((Entry("/x", "file", 0o755, size=1, digest=digest),)))
    assert stat.S_IMODE((root / "x").stat().st_mode) == 0o755
    assert (root / "x").read_bytes() == b"x"


@pytest.mark.parametrize("error", [errno.EMLINK, errno.EXDEV])
def test_where_no_link_can_be_made_there_is_a_copy(store: Store, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    tree = world.tree(store, {"/usr/bin/x": b"x", "/y": b"y"})

    def link(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", link)
    root = store.lay_down(tree)
    assert (root / "y").read_bytes() == b"y"
    assert stat.S_IMODE((root / "usr/bin/x").stat().st_mode) == 0o755
    store.save(tree)
    assert store.verify() == []


@pytest.mark.parametrize(
    "entries",
    [
        (Entry("/l", "link", 0o777, target="/etc"), Entry("/l/x", "dir", 0o755)),
        (Entry("/d/x", "link", 0o777, target="y"),),
        (Entry("/..", "dir", 0o755),),
        (Entry("/d", "dir", 0o755), Entry("/d/../../x", "dir", 0o755)),
        (Entry("x", "dir", 0o755),),
        (Entry("/x", "file", 0o644, size=1, digest="0" * 64),),
    ],
)
def test_a_tree_that_is_none_leaves_nothing(store: Store, entries: tuple[Entry, ...]) -> None:
    with pytest.raises(IntegrityError):
        store.lay_down(Tree(entries))
    assert list((store.root / "trees").iterdir()) == list((store.root / "tmp").iterdir()) == []
