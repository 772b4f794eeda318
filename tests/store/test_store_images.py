"""Images: names, prefixes, pins; what gc keeps and frees; what verify finds."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from oslet.errors import IntegrityError, RunError
from oslet.model.tree import Tree
from oslet.store import Store
from tests.store import world

SRC = str(Path(__file__).parents[2] / "src")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def blob(store: Store, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    store.add_blob([data], digest, where="test")
    return digest


def test_names_digests_and_prefixes(store: Store) -> None:
    digest = world.sealed(store, "web", {"/a": b"a"})
    for ref in ("web", digest, digest[:8], f"sha256:{digest}"):
        assert store.find(ref)[0] == digest
    newer = world.sealed(store, "web", {"/a": b"b"})
    assert store.find("web")[0] == newer
    assert {(r.digest, r.names) for r in store.images()} == {(newer, ("web",)), (digest, ())}
    with pytest.raises(RunError) as caught:
        store.find("wbe")
    assert "web" in caught.value.hint
    for ref in ("", "../tags/web", "zz", digest[:3]):
        with pytest.raises(RunError):
            store.find(ref)
    with pytest.raises(RunError, match="can't be an image's name"):
        store.tag("../x", digest)
    with pytest.raises(RunError, match="no image"):
        store.tag("x", "0" * 64)


def test_untag_remove_and_pin(store: Store) -> None:
    digest = world.sealed(store, "web", {"/a": b"a"})
    store.tag("other", digest)
    store.untag("web")
    assert store.image_names() == {"other": digest}
    with pytest.raises(RunError, match="no image is called 'web'"):
        store.untag("web")
    store.pin(digest, "i1")
    with pytest.raises(RunError, match="used by 1 instances: i1"):
        store.remove_image("other")
    store.unpin("i1")
    assert store.remove_image("other") == digest
    assert (store.images(), store.image_names(), store.has_image(digest)) == ([], {}, None)


def test_gc_keeps_what_names_and_pins_reach(store: Store) -> None:
    deb, stray = blob(store, b"deb"), blob(store, b"stray")
    web = world.sealed(store, "web", {"/a": b"a", "/shared": b"s"}, (deb,))
    old = world.sealed(store, "db", {"/b": b"b", "/shared": b"s"})
    store.pin(old, "i1")
    store.untag("db")
    gone = world.sealed(store, "gone", {"/c": b"cccc"})
    store.untag("gone")
    part = world.tree(store, {"/a": b"a"})  # a base tree: costs nothing more than web's image
    store.remember("base", "web", store.save(part).encode())
    store.remember("base", "gone", store.load(gone, type(store.images()[0].image)).tree.encode())
    store.remember("layers", "x", b'{"blob": "%s"}' % stray.encode())
    store.remember("plans", "gone", gone.encode())

    dry = store.gc(dry_run=True)
    assert store.find(gone)[0] == gone
    freed = store.gc()
    assert freed == dry
    assert (freed.images, freed.trees, freed.objects, freed.blobs, freed.memos) == (1, 1, 1, 1, 3)
    assert freed.bytes > 0
    assert {record.digest for record in store.images()} == {web, old}
    assert store.recall("base", "web") is not None
    assert store.load(store.recall("base", "web").decode(), Tree) == part  # type: ignore[union-attr]
    assert [store.recall(*memo) for memo in (("base", "gone"), ("layers", "x"), ("plans", "gone"))] == [None] * 3
    assert (store.blob(deb) is None, store.blob(stray)) == (False, None)
    assert store.verify() == []
    assert store.gc() == type(freed)()

    store.unpin("i1")
    assert store.gc().images == 1
    assert (store.rootfs(store.find("web")[1]) / "shared").read_bytes() == b"s"


def test_gc_waits_for_writers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oslet.store.disk._WAIT", 0.1)
    other = Store(store.root)
    digest = other.put(b"not reachable yet")
    with pytest.raises(RunError, match="another process is writing"):
        store._disk.alone(0.1).__enter__()
    other.close()
    store.gc()
    assert not other.has_object(digest, 0o644, 17)
    with store.writing(), pytest.raises(RunError, match="this process"):
        store.gc()


def test_gc_sweeps_what_dead_processes_left(store: Store) -> None:
    code = """
import os, sys
from pathlib import Path
from oslet.store import Store
with Store(Path(sys.argv[1])).scratch() as folder:
    (folder / "x").touch()
    os._exit(1)
"""
    subprocess.run([sys.executable, "-c", code, str(store.root)], env={**os.environ, "PYTHONPATH": SRC}, check=False)
    assert store.gc().temporary == 1
    assert list((store.root / "tmp").iterdir()) == []


def test_verify_finds_every_kind_of_fault(store: Store) -> None:
    deb = blob(store, b"deb")
    digest = world.sealed(store, "web", {"/d/a": b"a", "/b": b"b"}, (deb,))
    root = store.rootfs(store.find("web")[1])
    store.remember("room", "key", b"value")
    assert store.verify() == []

    (root / "b").write_bytes(b"B")  # writes through to the object
    (root / "new").touch()
    (root / "d/a").unlink()
    store.blob(deb).write_bytes(b"DEB")  # type: ignore[union-attr]
    store._memo.path("room", "key").write_bytes(b"x")
    (store.root / "tags" / "dangling").write_text("0" * 64)
    faults = "\n".join(f"{fault.where}: {fault.what}" for fault in store.verify())
    for said in (
        "objects/",
        "blobs/",
        "memo/room",
        "tags/dangling",
        "/new: belongs to no",
        "/d/a: is missing",
        "/b: its",
    ):
        assert said in faults
    store._values.path(store.find(digest)[1].tree).unlink()
    assert any("lacks this value" in fault.what for fault in store.verify())


def test_a_damaged_image_is_no_image_until_it_is_sealed_again(store: Store) -> None:
    digest = world.sealed(store, "web", {"/a": b"a"})
    image = store.find("web")[1]
    path = store._values.path(digest)
    path.write_bytes(path.read_bytes()[:-1] + b" ")
    assert (store.has_image(digest), store.images()) == (None, [])
    with pytest.raises(IntegrityError, match="not what was stored"):
        store.find("web")
    with pytest.raises(IntegrityError):
        store.gc()  # what it reaches is unknown
    assert store.seal(image) == digest
    assert store.find("web") == (digest, image)
    assert store.verify() == []
