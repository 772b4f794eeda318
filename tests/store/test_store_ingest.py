"""Packages unpacked into the store: the same record each time, and only from sound packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from oslet.errors import IntegrityError
from oslet.model.tree import Entry, Tree
from oslet.store import Store
from oslet.store.ingest import ingest_deb, ingest_many
from oslet.testing.makers import Made, make_deb, sha256

HELLO = make_deb(
    files={
        "/usr/bin/hello": "hi",
        "/usr/bin/hey": Made(hard="/usr/bin/hello"),
        "/usr/bin/h": Made(link="hello"),
        "/var/lib/hello": Made(kind="dir", mode=0o2750, uid=33, gid=34),
    },
    scripts={"postinst": "#!/bin/sh\n", "md5sums": "x"},
)


def test_what_a_package_holds(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    path = store.add_blob([HELLO], sha256(HELLO), where="x")
    contents = ingest_deb(store, path, name="hello", sha256=sha256(HELLO))
    hi = sha256(b"hi")
    assert (contents.origin, contents.digest) == ("hello", sha256(HELLO))
    assert contents.entries == (
        Entry("/usr", "dir", 0o755, origin="hello"),
        Entry("/usr/bin", "dir", 0o755, origin="hello"),
        Entry("/usr/bin/h", "link", 0o777, target="hello", origin="hello"),
        Entry("/usr/bin/hello", "file", 0o755, size=2, digest=hi, origin="hello"),
        Entry("/usr/bin/hey", "file", 0o755, size=2, digest=hi, origin="hello"),
        Entry("/var", "dir", 0o755, origin="hello"),
        Entry("/var/lib", "dir", 0o755, origin="hello"),
        Entry("/var/lib/hello", "dir", 0o2750, 33, 34, origin="hello"),
    )
    assert sorted(contents.control) == ["control", "md5sums", "postinst"]
    root = store.lay_down(Tree(contents.entries))
    assert (root / "usr/bin/hey").samefile(root / "usr/bin/h")

    path.unlink()  # from here on it is remembered
    assert ingest_deb(store, path, name="hello", sha256=sha256(HELLO)) == contents


def test_many_in_parallel_give_the_same_as_one_by_one(tmp_path: Path) -> None:
    wanted = []
    for n in range(12):
        data = make_deb(f"p{n}", files={f"/usr/share/p{n}/{i}": f"{i % 7}" * 100 for i in range(30)})
        (tmp_path / f"p{n}.deb").write_bytes(data)
        wanted.append((f"p{n}", sha256(data), tmp_path / f"p{n}.deb"))
    told: list[tuple[str, int, int]] = []
    store = Store(tmp_path / "store")
    many = ingest_many(store, wanted, workers=4, progress=lambda *said: told.append(said))
    assert told == [("unpacking packages", n + 1, 12) for n in range(12)]
    other = Store(tmp_path / "other")
    assert many == {name: ingest_deb(other, path, name=name, sha256=digest) for name, digest, path in wanted}
    assert list(many) == [name for name, _, _ in wanted]
    assert ingest_many(store, []) == {}


def test_lost_objects_are_unpacked_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    path = store.add_blob([HELLO], sha256(HELLO), where="x")
    contents = ingest_deb(store, path, name="hello", sha256=sha256(HELLO))
    store.object(sha256(b"hi"), 0o755).unlink()
    assert ingest_deb(store, path, name="hello", sha256=sha256(HELLO)) == contents
    assert store.read(sha256(b"hi")) == b"hi"


def test_a_damaged_download_is_refused_and_dropped(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    path = store.add_blob([HELLO], sha256(HELLO), where="x")
    path.write_bytes(HELLO[:-1])
    with pytest.raises(IntegrityError, match="not what was locked"):
        ingest_many(store, [("hello", sha256(HELLO), path)])
    assert store.blob(sha256(HELLO)) is None


def test_hard_links_to_nothing_are_refused(tmp_path: Path) -> None:
    data = make_deb(files={"/a": Made(hard="/etc/shadow")})
    (tmp_path / "a.deb").write_bytes(data)
    with pytest.raises(IntegrityError, match="no file before it"):
        ingest_deb(Store(tmp_path / "store"), tmp_path / "a.deb", name="a", sha256=sha256(data))
