"""Files: a file system in memory."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.build.files import Files
from oslet.errors import BuildError
from oslet.model.tree import Entry, Tree


class Shelf:
    """Objects in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, data: bytes, mode: int = 0o644) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.objects[digest] = data
        return digest

    def read(self, digest: str, limit: int = 64 << 20) -> bytes:
        return self.objects[digest]

    def object(self, digest: str, mode: int | None = None) -> Path:
        raise NotImplementedError

    def lay_down(self, tree: Tree) -> Path:
        raise NotImplementedError


MADE: dict[str, Any] = {"origin": "made:test", "reason": "the test says so"}


def test_a_file_stands_where_its_folders_links_lead() -> None:
    files = Files(Shelf(), [Entry("/run", "dir", 0o755), Entry("/var/run", "link", 0o777, target="../run")])
    files.put("/var/run/app/pid", b"1", **MADE)
    assert files.get("/run/app/pid") is not None and files.get("/var/run/app/pid") is None
    assert files.text("/var/run/app/pid") == "1"
    assert [e.path for e in files.tree().entries] == ["/run", "/run/app", "/run/app/pid", "/var", "/var/run"]


def test_links_in_circles_are_refused() -> None:
    files = Files(Shelf(), [Entry("/a", "link", 0o777, target="b"), Entry("/b", "link", 0o777, target="a")])
    with pytest.raises(BuildError, match="circles"):
        files.resolve("/a")


def test_a_link_never_leads_out_of_the_tree() -> None:
    files = Files(Shelf(), [Entry("/etc/up", "link", 0o777, target="../../../../x")])
    assert files.resolve("/etc/up") == "/x"


def test_what_a_package_brought_is_remembered_when_removed() -> None:
    files = Files(Shelf(), [Entry("/usr/share/doc/a/copyright", "file", 0o644, size=3, origin="a")])
    files.put("/usr/share/doc/b", b"", **MADE)
    files.remove("/usr/share/doc", "documentation")
    tree = files.tree()
    assert [e.path for e in tree.entries] == ["/usr", "/usr/share"]
    assert "/usr/share/doc/a/copyright" in {d.path for d in tree.dropped}
    assert "/usr/share/doc/b" not in {d.path for d in tree.dropped}


def test_a_folder_with_content_is_not_replaced() -> None:
    files = Files(Shelf(), [Entry("/lib/x", "file", 0o644, origin="a")])
    with pytest.raises(BuildError, match="isn't empty"):
        files.link("/lib", "usr/lib", **MADE)


def test_globs_are_the_shells() -> None:
    files = Files(Shelf(), [Entry(f"/etc/{n}", "file", 0o644) for n in ("a.conf", "b.conf", ".c.conf", "d/e.conf")])
    assert files.glob("/etc/*.conf") == ["/etc/a.conf", "/etc/b.conf"]
    assert files.glob("/etc/*/*.conf") == ["/etc/d/e.conf"]


_names = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@given(st.lists(_names, max_size=12))
def test_a_tree_has_every_parent_once_and_in_order(paths: list[str]) -> None:
    files = Files(Shelf(), [])
    for path in paths:
        files.mkdir(path, **MADE)
    made = [e.path for e in files.tree().entries]
    assert made == sorted(set(made))
    assert all(path.rpartition("/")[0] in ("", *made) for path in made)
