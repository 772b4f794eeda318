"""``why``: every path answers, back to the declaration."""

from __future__ import annotations

import pytest

from oslet.errors import DeclarationError
from oslet.model.lock import Lock, Package
from oslet.model.tree import Entry, Tree
from oslet.trim.why import why


def package(name: str, by: str = "", request: str = "") -> Package:
    return Package(name, "1", "amd64", "", f"pool/{name}.deb", 1, "0" * 64, by, request or name)


LOCK = Lock(
    "",
    "trixie",
    "amd64",
    packages=(package("web"), package("libweb", "web", "libweb (>= 1)"), package("libc", "libweb", "libc")),
)
TREE = Tree(
    (
        Entry("/lib", "link", 0o777, target="usr/lib", origin="made:debian", reason="merged /usr (usrmerge)"),
        Entry("/usr/lib/libc.so", "file", 0o644, size=7, digest="d", origin="libc", reason="libc is needed by libweb"),
        Entry("/etc/passwd", "file", 0o644, size=3, digest="e", origin="made:users", reason="base-passwd names root"),
    ),
    (Entry("/usr/share/man/web.1", "file", 0o644, size=9, origin="web", reason="manuals: read by people"),),
)


def test_a_kept_path_goes_back_to_the_declaration() -> None:
    assert why("/usr/lib/libc.so", TREE, LOCK).lines == (
        "/usr/lib/libc.so is kept (7 bytes, from libc)",
        "libc is needed by libweb (libc)",
        "libweb is needed by web (libweb (>= 1))",
        "web is named by the declaration (web)",
    )


def test_links_are_followed_and_said() -> None:
    assert why("/lib/libc.so", TREE, LOCK).lines[0] == "/lib is a link to usr/lib"


def test_a_dropped_path_names_its_rule() -> None:
    answer = why("/usr/share/man/web.1", TREE, LOCK)
    assert not answer.kept
    assert answer.lines[1] == "manuals: read by people"


def test_a_made_path_names_its_evidence() -> None:
    assert why("/etc/passwd", TREE, LOCK).lines[1] == "base-passwd names root"


def test_a_typo_is_answered_with_what_is_near() -> None:
    with pytest.raises(DeclarationError) as error:
        why("/usr/lib/libk.so", TREE, LOCK)
    assert "/usr/lib/libc.so" in error.value.hint
