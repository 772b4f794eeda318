"""Trimming: what is always safe to leave out, with a reason for every path."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oslet.model.lock import Lock, Package
from oslet.model.oslet import Policy
from oslet.model.tree import Entry, Tree
from oslet.trim import trim


def package(name: str, by: str = "", request: str = "") -> Package:
    return Package(name, "1", "amd64", "", f"pool/{name}.deb", 1, "0" * 64, by, request or name)


LOCK = Lock("", "trixie", "amd64", packages=(package("web"), package("libweb", "web", "libweb (>= 1)")))


def world(*paths: str, origin: str = "web") -> list[Entry]:
    folders = {p.rsplit("/", n)[0] for p in paths for n in range(1, p.count("/"))}
    return [
        *(Entry(d, "dir", 0o755, origin=origin) for d in folders),
        *(Entry(p, "file", 0o644, size=3, digest="d", origin=origin) for p in paths),
    ]


def kept(tree: Tree) -> set[str]:
    return {e.path for e in tree.entries if e.kind == "file"}


def test_documentation_goes_and_licences_stay() -> None:
    tree = trim(world("/usr/bin/web", "/usr/share/doc/web/README", "/usr/share/doc/web/copyright"), LOCK, Policy())
    assert kept(tree) == {"/usr/bin/web", "/usr/share/doc/web/copyright"}
    assert [(d.path, d.reason.split(":")[0]) for d in tree.dropped] == [("/usr/share/doc/web/README", "documentation")]


def test_folders_that_lose_all_they_held_go_too() -> None:
    tree = trim(world("/usr/share/man/man1/web.1.gz", "/usr/bin/web"), LOCK, Policy())
    assert [e.path for e in tree.entries if e.kind == "dir"] == ["/usr", "/usr/bin"]
    assert "/usr/share/man" in {d.path for d in tree.dropped}


def test_a_folder_that_was_empty_stays() -> None:
    tree = trim([*world("/usr/bin/web"), Entry("/var/lib/web", "dir", 0o700, origin="web")], LOCK, Policy())
    assert "/var/lib/web" in {e.path for e in tree.entries}


def test_the_package_manager_goes_unless_it_is_named() -> None:
    assert not kept(trim(world("/usr/lib/apt/methods/http", origin="libweb"), LOCK, Policy()))
    assert kept(trim(world("/usr/lib/apt/methods/http", origin="web"), LOCK, Policy()))


def test_keep_overrules_rules() -> None:
    tree = trim(world("/usr/share/man/man1/web.1.gz"), LOCK, Policy(keep=("/usr/share/man/**",)))
    assert kept(tree) == {"/usr/share/man/man1/web.1.gz"}


def test_every_path_has_its_reason() -> None:
    tree = trim(world("/usr/bin/web") + world("/usr/lib/libweb.so", origin="libweb"), LOCK, Policy())
    reasons = {e.path: e.reason for e in tree.entries}
    assert reasons["/usr/bin/web"] == "web is named by the declaration (web)"
    assert reasons["/usr/lib/libweb.so"] == "libweb is needed by web (libweb (>= 1))"


segment = st.sampled_from(["usr", "share", "doc", "man", "locale", "lib", "web", "copyright", "C.utf8", "x"])
paths = st.lists(segment, min_size=1, max_size=6).map(lambda s: "/" + "/".join(s))


@given(st.sets(paths, max_size=30))
def test_trimming_twice_changes_nothing_and_loses_nothing(some: set[str]) -> None:
    files = [p for p in some if not any(q.startswith(p + "/") for q in some)]
    before = list({e.path: e for e in world(*files)}.values())
    once = trim(before, LOCK, Policy())
    assert trim(once.entries, LOCK, Policy()).entries == once.entries
    assert {e.path for e in once.entries} | {d.path for d in once.dropped} == {e.path for e in before}
