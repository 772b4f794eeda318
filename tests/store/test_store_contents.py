"""Objects, blobs, values and the memo: what goes in comes out, and what was altered doesn't."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oslet.errors import IntegrityError
from oslet.model.tree import Entry, Tree
from oslet.store import Store, home


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@given(st.lists(st.binary(max_size=700_000), max_size=5), st.integers(0, 0o7777))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_stream_is_put_as_its_whole(store: Store, chunks: list[bytes], mode: int) -> None:
    data = b"".join(chunks)
    assert store.put_stream(iter(chunks), mode) == (sha(data), len(data))
    assert store.put(data, mode) == sha(data)
    assert store.read(sha(data)) == data
    path = store.object(sha(data), mode)
    assert stat.S_IMODE(path.stat().st_mode) == (mode & 0o777) | 0o444


def test_large_streams_leave_nothing_behind(store: Store) -> None:
    chunks = [os.urandom(1 << 20) for _ in range(3)]
    first = store.put_stream(iter(chunks), 0o755)
    assert store.put_stream(iter(chunks), 0o755) == first
    assert list((store.root / "tmp").iterdir()) == []
    with pytest.raises(ZeroDivisionError):
        store.put_stream((chunks[i] if i < 2 else b"%d" % (1 // 0) for i in range(3)), 0o644)
    assert list((store.root / "tmp").iterdir()) == []


def test_one_inode_a_content_and_mode(store: Store) -> None:
    digest = store.put(b"x", 0o644)
    store.put(b"x", 0o4755)
    assert store.object(digest, 0o644).stat().st_ino != store.object(digest, 0o755).stat().st_ino
    assert store.object(digest, 0o4755) == store.object(digest, 0o755)
    made = store.object(digest, 0o600)  # made at need from another
    assert (made.read_bytes(), stat.S_IMODE(made.stat().st_mode)) == (b"x", 0o644)


def test_missing_altered_and_oversized_objects(store: Store) -> None:
    with pytest.raises(IntegrityError, match="lacks this object"):
        store.read("0" * 64)
    with pytest.raises(IntegrityError, match="lacks this object"):
        store.object("../../etc/passwd")
    digest = store.put(b"hello")
    with pytest.raises(IntegrityError, match="over 4 bytes"):
        store.read(digest, 4)
    store.object(digest).write_bytes(b"jello")
    with pytest.raises(IntegrityError, match="not what was stored"):
        store.read(digest)


def test_an_object_cut_short_is_written_again(store: Store) -> None:
    digest = store.put(b"hello")
    os.truncate(store.object(digest), 0)  # as a power failure leaves what was never synced
    store.put(b"hello")
    assert store.read(digest) == b"hello"


def test_blobs_are_checked_as_they_pass(store: Store) -> None:
    path = store.add_blob([b"he", b"llo"], sha(b"hello"), 5, where="a")
    assert path.read_bytes() == b"hello"
    assert store.blob(sha(b"hello")) == path
    for chunks, size, said in (
        ([b"hell"], None, "its sha256 is"),
        ([b"hell"], 5, "ends after 4 of 5"),
        ([b"hello!"], 5, "more"),
    ):
        with pytest.raises(IntegrityError, match=said) as caught:
            store.add_blob(chunks, sha(b"other"), size, where="http: x.deb")
        assert caught.value.where == "http: x.deb"
    assert store.blob(sha(b"other")) is None
    assert list((store.root / "tmp").iterdir()) == []


def test_values_come_back_or_not_at_all(store: Store) -> None:
    value = Tree((Entry("/a", "dir", 0o755),))
    digest = store.save(value)
    assert store.load(digest, Tree) == value
    with pytest.raises(IntegrityError, match="not a Entry"):
        store.load(digest, Entry)
    for wrong in ("0" * 64, "../x", ""):
        with pytest.raises(IntegrityError):
            store.load(wrong, Tree)
    store._values.path(digest).write_bytes(b"{}")
    with pytest.raises(IntegrityError, match="not what was stored"):
        store.load(digest, Tree)


def test_a_damaged_memo_is_none(store: Store) -> None:
    store.remember("room", "key", b"value")
    assert store.recall("room", "key") == b"value"
    assert store.recall("room", "other") is None
    path = store._memo.path("room", "key")
    path.write_bytes(path.read_bytes()[:-1])
    assert store.recall("room", "key") is None
    with pytest.raises(ValueError, match="room"):
        store.remember("../x", "key", b"")


def test_threads_may_put_the_same(store: Store) -> None:
    def work() -> None:
        for n in range(100):
            store.put(b"%d" % n)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.verify() == []
    assert list((store.root / "tmp").iterdir()) == []


def test_home() -> None:
    assert home({"OSLET_HOME": "/a", "XDG_DATA_HOME": "/b"}) == Path("/a")
    assert home({"XDG_DATA_HOME": "/b"}) == Path("/b/oslet")
    assert home({}).name == "oslet"


def test_the_store_is_closed_to_others(store: Store) -> None:
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_owner_of_instances(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", owner=123456)
    digest = store.put(b"x")
    tree = Tree((Entry("/d", "dir", 0o700), Entry("/d/f", "file", 0o600, size=1, digest=digest)))
    root = store.lay_down(tree)
    for path in (root, root / "d", root / "d/f"):
        assert (path.stat().st_uid, path.stat().st_gid) == (123456, 123456)
    assert (store.root.stat().st_uid, store.root.stat().st_gid) == (0, 123456)
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o710
