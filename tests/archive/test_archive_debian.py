"""A Debian archive, read: what is served, what is believed, what is kept. The archives are real, signed and small."""

from __future__ import annotations

import hashlib
import lzma
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oslet.archive import debian
from oslet.archive.index import Shelves
from oslet.archive.release import signed_text
from oslet.archive.transport import HttpTransport
from oslet.errors import IntegrityError, NetworkError, OsletError
from oslet.model.lock import Package
from oslet.model.oslet import Wants
from oslet.model.source import Debian
from oslet.solve import lock
from oslet.store import Store
from oslet.testing.archive import WEEK, FakeArchive

NOW = 1_800_000_000.0


@pytest.fixture
def archive(tmp_path: Path) -> FakeArchive:
    archive = FakeArchive(tmp_path / "archive", now=NOW)
    archive.add("web", depends="lib (>= 1)")
    archive.add("lib", "1.2", provides="other (= 3)")
    archive.release()
    return archive


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def read(source: Debian, store: Store, now: float = NOW, *, refresh: bool = False) -> Shelves:
    return debian.index(source, "amd64", store, HttpTransport(timeout=5), clock=lambda: now, refresh=refresh)


def locked(source: Debian, store: Store, *wants: str) -> tuple[Package, ...]:
    return lock(Wants(wants), source, read(source, store), "amd64")


def refused(error: type[OsletError], source: Debian, store: Store, now: float = NOW) -> str:
    with pytest.raises(error) as caught:
        read(source, store, now, refresh=True)
    assert caught.value.where
    return str(caught.value)


@pytest.mark.parametrize("packing", ["xz", "gz", ""])
@pytest.mark.parametrize("by_hash", [True, False])
def test_the_whole_way(archive: FakeArchive, store: Store, packing: str, by_hash: bool) -> None:
    shutil.rmtree(archive.folder / "dists")
    archive.release(packing=packing, by_hash=by_hash)
    packages = locked(archive.source(), store, "web")
    assert [(p.name, p.version, p.by) for p in packages] == [("lib", "1.2", "web"), ("web", "1.0", "")]
    paths = debian.fetch(packages, archive.source(), store, HttpTransport())
    for package in packages:
        assert hashlib.sha256(paths[package.name].read_bytes()).hexdigest() == package.sha256


def test_pockets_archives_and_the_newest_version(archive: FakeArchive, store: Store) -> None:
    archive.add("lib", "1.3", suite="trixie-updates")
    archive.add("lib", "1.4", suite="trixie-security", archive="security")
    archive.release("trixie-updates")
    archive.release("trixie-security", archive="security")
    source = archive.source(pockets=("updates", "security:security"))
    found = next(p for p in locked(source, store, "web") if p.name == "lib")
    assert (found.version, found.archive) == ("1.4", "security")
    pinned = next(p for p in locked(source, store, "web", "lib=1.3") if p.name == "lib")
    assert (pinned.version, pinned.archive) == ("1.3", "")


def test_a_pocket_that_is_not_there_is_named(archive: FakeArchive, store: Store) -> None:
    text = refused(NetworkError, archive.source(pockets=("backports",)), store)
    assert "no suite trixie-backports" in text and "pockets =" in text


def tampered(archive: FakeArchive) -> None:
    path = archive.folder / "dists/trixie/InRelease"
    path.write_bytes(path.read_bytes().replace(b"Origin: Fake", b"Origin: Real"))


def cut_release(archive: FakeArchive) -> None:
    path = archive.folder / "dists/trixie/InRelease"
    path.write_bytes(path.read_bytes()[:-300])


def unsigned(archive: FakeArchive) -> None:
    archive.release(signed=False)


def other_key(archive: FakeArchive) -> None:
    other = FakeArchive(archive.folder.parent / "other", now=NOW)
    archive.keyring.write_bytes(other.keyring.read_bytes())


def other_suite(archive: FakeArchive) -> None:
    archive.release(fields={"Suite": "forky", "Codename": "forky"})


def expired(archive: FakeArchive) -> None:
    archive.release(date=NOW - 2 * WEEK)


def from_the_future(archive: FakeArchive) -> None:
    archive.release(date=NOW + WEEK)


def other_arch(archive: FakeArchive) -> None:
    archive.release(fields={"Architectures": "riscv64 s390x"})


def appended(archive: FakeArchive) -> None:
    path = archive.folder / "dists/trixie/InRelease"
    path.write_bytes(b"Origin: Evil\n\n" + path.read_bytes())


def index_files(archive: FakeArchive) -> Iterator[Path]:
    yield archive.folder / "dists/trixie/main/binary-amd64/Packages.xz"
    yield from (archive.folder / "dists/trixie/main/binary-amd64/by-hash/SHA256").iterdir()


def tampered_index(archive: FakeArchive) -> None:
    for path in index_files(archive):
        data = lzma.decompress(path.read_bytes()).replace(b"lib (>= 1)", b"lib (>= 0)")
        path.write_bytes(lzma.compress(data))


def cut_index(archive: FakeArchive) -> None:
    for path in index_files(archive):
        path.write_bytes(path.read_bytes()[:-40])


def long_index(archive: FakeArchive) -> None:
    for path in index_files(archive):
        path.write_bytes(path.read_bytes() + b"x" * 4096)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (tampered, "no good signature"),
        (cut_release, "no good signature"),
        (unsigned, "is not signed"),
        (appended, "is not signed"),
        (other_key, "no good signature"),
        (other_suite, "not 'trixie'"),
        (expired, "expired on"),
        (from_the_future, "from the future"),
        (other_arch, "nothing for amd64"),
        (tampered_index, "the index"),
        (cut_index, "bytes"),
        (long_index, "more than the"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_refused(archive: FakeArchive, store: Store, spoil: Callable[[FakeArchive], None], said: str) -> None:
    spoil(archive)
    assert said in refused(IntegrityError, archive.source(), store)
    assert not list((store.root / "index").glob("*")) if (store.root / "index").exists() else True


def test_an_older_index_than_seen_before_is_refused(archive: FakeArchive, store: Store) -> None:
    read(archive.source(), store)
    archive.release(date=NOW - 3600)
    assert "older than seen before" in refused(IntegrityError, archive.source(), store)
    archive.release(date=NOW)
    read(archive.source(), store, refresh=True)


def test_an_index_whose_packages_leave_the_archive(archive: FakeArchive, store: Store) -> None:
    archive._stanzas["", "trixie"][0] = archive._stanzas["", "trixie"][0].replace("pool/main/w", "../../etc")
    archive.release()
    assert "leaves the archive" in refused(IntegrityError, archive.source(), store)


def test_a_kept_index_that_was_damaged(archive: FakeArchive, store: Store) -> None:
    read(archive.source(), store).close()
    (kept,) = (store.root / "index").iterdir()
    data = kept.read_bytes()
    for bad in (b"", data[: len(data) // 2], bytes(len(data)), data[:4096] + bytes(len(data) - 4096)):
        kept.write_bytes(bad)
        with pytest.raises(IntegrityError) as caught:
            read(archive.source(), store).candidates("web")
        assert caught.value.hint


def test_a_package_that_is_not_the_locked_one(archive: FakeArchive, store: Store) -> None:
    packages = locked(archive.source(), store, "web")
    path = archive.folder / packages[0].path
    good = path.read_bytes()
    for bad in (good[:-1], good + b"x", good[:-1] + b"x"):
        path.write_bytes(bad)
        with pytest.raises(IntegrityError) as caught:
            debian.fetch(packages, archive.source(), store, HttpTransport())
        assert "lib" in caught.value.where
        assert store.blob(packages[0].sha256) is None


def test_a_version_that_the_archive_dropped(archive: FakeArchive, store: Store) -> None:
    packages = locked(archive.source(), store, "web")
    (archive.folder / packages[0].path).unlink()
    with pytest.raises(NetworkError, match=r"no longer has lib 1.2") as caught:
        debian.fetch(packages, archive.source(), store, HttpTransport())
    assert "vendor" in caught.value.hint


def test_over_http_nothing_is_fetched_twice(archive: FakeArchive, store: Store) -> None:
    with archive.served() as server:
        source = archive.source(mirror=server.url)
        packages = locked(source, store, "web")
        debian.fetch(packages, source, store, HttpTransport())
        once = list(server.requests)
        assert len(once) == len(set(once)) == 4  # InRelease, Packages.xz, two packages
        locked(source, store, "web")
        debian.fetch(packages, source, store, HttpTransport())
        assert server.requests == once
        read(source, store, NOW + debian.FRESH + 1)
        assert [p.rpartition("/")[2] for p in server.requests[len(once) :]] == ["InRelease"]


def test_offline_from_what_is_kept_until_it_expires(archive: FakeArchive, store: Store) -> None:
    with archive.served() as server:
        source = archive.source(mirror=server.url)
        packages = locked(source, store, "web")
        debian.fetch(packages, source, store, HttpTransport())
    assert read(source, store, NOW + 2 * debian.FRESH).candidates("web")
    assert len(debian.fetch(packages, source, store, HttpTransport())) == 2
    with pytest.raises(IntegrityError, match="expired on"):
        read(source, store, NOW + 2 * WEEK)
    with pytest.raises(NetworkError):
        read(source, store, NOW + 60, refresh=True)


def test_vendored_packages_outlive_the_archive(archive: FakeArchive, store: Store, tmp_path: Path) -> None:
    archive.add("lib", "1.4", suite="trixie-security", archive="security")
    archive.release("trixie-security", archive="security")
    source = archive.source(pockets=("security:security",))
    packages = locked(source, store, "web")
    folder = tmp_path / "vendored"
    files = debian.vendor(packages, source, store, HttpTransport(), folder)
    assert [f.relative_to(folder).as_posix() for f in files] == [
        "pool/main/w/web/web_1.0_all.deb",
        "security/pool/main/l/lib/lib_1.4_all.deb",
    ]
    shutil.rmtree(archive.folder)
    later = archive.source(pockets=("security:security",), mirror=str(folder))
    assert len(debian.fetch(packages, later, Store(tmp_path / "new"), HttpTransport())) == 2
    assert debian.vendor(packages, source, store, HttpTransport(), folder) == files


@pytest.mark.skipif(shutil.which("gpgv") is None, reason="gpgv is the oracle")
def test_as_gpgv_has_it(archive: FakeArchive, tmp_path: Path) -> None:
    path = archive.folder / "dists/trixie/InRelease"
    good = path.read_bytes()
    for data in (good, good.replace(b"Fake", b"Evil"), good[:-100], b"x" + good[1:]):
        path.write_bytes(data)
        command = ["gpgv", "--keyring", str(archive.keyring), "--output", str(tmp_path / "text"), str(path)]
        (tmp_path / "text").unlink(missing_ok=True)
        theirs = subprocess.run(command, capture_output=True, check=False).returncode == 0
        try:
            text: str | None = signed_text(data, archive.keyring.read_bytes(), where=str(path))
        except IntegrityError:
            text = None
        assert (text is not None) == theirs
        if text is not None:
            assert text.strip() == (tmp_path / "text").read_text().strip()
