"""Which mirror, which keyring: each test is a machine with its own /etc/apt."""

from __future__ import annotations

from pathlib import Path

import pytest

from oslet.archive.debian import pockets
from oslet.archive.mirror import Mirror, apt_entries, keyring, mirror
from oslet.errors import DeclarationError
from oslet.model.source import Debian
from oslet.testing.archive import FakeArchive

SOURCES = """\
Types: deb
URIs: http://mirror.example.org/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
# the pocket archive has a place of its own here
URIs: http://security.example.org/sec
Suites: bookworm-security
Components: main

Types: deb-src
URIs: http://mirror.example.org/src
Suites: bookworm
Components: main
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("OSLET_MIRROR", raising=False)
    (tmp_path / "etc/apt/sources.list.d").mkdir(parents=True)
    return tmp_path


def test_deb822_sources(root: Path) -> None:
    (root / "etc/apt/sources.list.d/debian.sources").write_text(SOURCES)
    found = mirror(Debian("trixie"), root=root)
    assert [(p.url, p.suite) for p in pockets(Debian("trixie"), found)] == [
        ("http://mirror.example.org/debian", "trixie"),
        ("http://mirror.example.org/debian", "trixie-updates"),
        ("http://security.example.org/sec", "trixie-security"),
    ]


def test_one_line_sources_and_others_that_publish_by_the_same_suite(root: Path) -> None:
    (root / "etc/apt/sources.list").write_text(
        "# a comment\n"
        "deb-src http://mirror.example.org/debian trixie main\n"
        "deb [arch=amd64 signed-by=/k.gpg] https://tool.example.org/apt trixie main\n"
        "deb cdrom:[Debian]/ trixie main\n"
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m.example.org/debian trixie main #\n"
    )
    assert mirror(Debian("trixie"), root=root).url == "http://m.example.org/debian"


def test_a_list_of_mirrors(root: Path) -> None:
    (root / "mirrors").write_text("https://near.example.org/debian\nhttps://far.example.org/debian\n")
    (root / "etc/apt/sources.list").write_text(f"deb mirror+file:{root}/mirrors trixie main\n")
    assert mirror(Debian("trixie"), root=root).url == "https://near.example.org/debian"


def test_a_derivative_by_its_own_codename(root: Path) -> None:
    (root / "etc/os-release").write_text("ID=other\nVERSION_CODENAME=noble\n")
    (root / "etc/apt/sources.list").write_text("deb http://archive.example.org/other noble main universe\n")
    assert mirror(Debian("noble"), root=root).url == "http://archive.example.org/other"


def test_the_declaration_and_the_environment_come_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "etc/apt/sources.list.d/debian.sources").write_text(SOURCES)
    monkeypatch.setenv("OSLET_MIRROR", "/srv/debian/")
    assert mirror(Debian(), root=root).url == "/srv/debian"
    assert mirror(Debian(mirror="http://x.example.org/d"), root=root).url == "http://x.example.org/d"


def test_no_mirror_says_what_to_set(root: Path) -> None:
    (root / "etc/apt/sources.list.d/odd.sources").write_bytes(b"\xff: : \n  : x")
    with pytest.raises(DeclarationError) as caught:
        mirror(Debian(), root=root)
    assert "mirror =" in caught.value.hint and "OSLET_MIRROR" in caught.value.hint


def test_an_archive_beside_or_inside_a_folder(tmp_path: Path) -> None:
    (tmp_path / "m/security").mkdir(parents=True)
    assert Mirror(str(tmp_path / "m")).archive("security") == str(tmp_path / "m/security")
    assert Mirror(str(tmp_path / "n")).archive("security") == str(tmp_path / "n-security")
    assert Mirror("http://e.example.org/debian").archive("security") == "http://e.example.org/debian-security"


def test_no_keyring_says_what_to_install(root: Path) -> None:
    with pytest.raises(DeclarationError) as caught:
        keyring(Debian(), Mirror("http://e.example.org/debian"), root=root)
    assert "debian-archive-keyring" in caught.value.hint
    with pytest.raises(DeclarationError):
        keyring(Debian(keyring=str(root / "gone.gpg")), Mirror("http://e.example.org/debian"), root=root)


def test_what_apt_trusts_when_there_is_no_debian_keyring(root: Path) -> None:
    (root / "etc/apt/trusted.gpg.d").mkdir()
    archive = FakeArchive(root / "a")
    (root / "etc/apt/trusted.gpg.d/one.gpg").write_bytes(archive.keyring.read_bytes())
    assert keyring(Debian(), Mirror("http://e.example.org/debian"), root=root) == archive.keyring.read_bytes()


def test_apt_reads_disabled_entries_as_none(root: Path) -> None:
    (root / "etc/apt/sources.list.d/d.sources").write_text("Enabled: no\n" + SOURCES)
    assert [e.uri for e in apt_entries(root)] == ["http://security.example.org/sec"]
