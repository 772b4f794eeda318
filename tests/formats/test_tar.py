"""Tar: what Writer writes, read gives back; what isn't a plain tar is refused."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oslet.errors import IntegrityError
from oslet.formats.tar import Limits, Member, Writer, read


def written(*members: tuple[Member, bytes]) -> bytes:
    out = io.BytesIO()
    writer = Writer(out)
    for member, data in members:
        writer.add(member, (data,) if data else ())
    writer.close()
    return out.getvalue()


def listed(data: bytes, limits: Limits = Limits()) -> list[tuple[Member, bytes]]:  # noqa: B008
    return [(member, b"".join(content)) for member, content in read(io.BytesIO(data), where="a.tar", limits=limits)]


def foreign(fill: Callable[[tarfile.TarFile], None], format_: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format_) as archive:
        fill(archive)
    return out.getvalue()


NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"), min_size=1, max_size=80)
PATHS = st.lists(NAMES.filter(lambda n: n not in (".", "..") and len(n.encode()) < 256), min_size=1, max_size=8).map(
    lambda parts: "/" + "/".join(parts)
)
IDS = st.integers(0, 1 << 31)
FILES = st.builds(
    lambda path, data, mode, uid, gid, mtime, xattrs: (
        Member(path, "file", mode, uid, gid, len(data), "", mtime, tuple(sorted(xattrs.items()))),
        data,
    ),
    PATHS,
    st.binary(max_size=2000),
    st.integers(0, 0o7777),
    IDS,
    IDS,
    st.integers(0, 1 << 40),
    st.dictionaries(st.just("security.capability"), st.binary(min_size=1, max_size=20), max_size=1),
)
OTHERS = st.one_of(
    st.builds(lambda path, mode: (Member(path, "dir", mode), b""), PATHS, st.integers(0, 0o7777)),
    st.builds(lambda path, target: (Member(path, "link", 0o777, target=target), b""), PATHS, PATHS),
    st.builds(lambda path, target: (Member(path, "hardlink", 0o644, target=target), b""), PATHS, PATHS),
)


@given(st.lists(FILES | OTHERS, max_size=8))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read_back(members: list[tuple[Member, bytes]]) -> None:
    data = written(*members)
    assert listed(data) == members
    assert written(*members) == data


@given(st.lists(FILES, max_size=4))
@settings(max_examples=25, deadline=None)
def test_tarfile_reads_what_is_written(members: list[tuple[Member, bytes]]) -> None:
    with tarfile.open(fileobj=io.BytesIO(written(*members))) as archive:
        for info, (member, data) in zip(archive.getmembers(), members, strict=True):
            assert ("/" + info.name, info.mode, info.uid, info.gid) == (
                member.path,
                member.mode,
                member.uid,
                member.gid,
            )
            assert (info.mtime, archive.extractfile(info).read()) == (member.mtime, data)  # type: ignore[union-attr]


@pytest.mark.parametrize("format_", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_of_other_writers(format_: int) -> None:
    long = "a" * 120 + "/" + "b" * 130

    def fill(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo("./" + long)
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("l")
        link.type, link.linkname = tarfile.SYMTYPE, long
        archive.addfile(link)

    found = listed(foreign(fill, format_))
    assert [(m.path, m.size, m.target, data) for m, data in found] == [
        ("/" + long, 3, "", b"abc"),
        ("/l", 0, long, b""),
    ]


def test_content_that_is_not_taken_is_skipped() -> None:
    data = written(
        (Member("/a", "file", size=700_000), b"a" * 700_000),
        (Member("/b", "file", size=1), b"b"),
        (Member("/c", "dir"), b""),
    )
    assert [member.path for member, _ in read(io.BytesIO(data), where="a.tar")] == ["/a", "/b", "/c"]


def info(name: str, type_: bytes = tarfile.REGTYPE, **facts: object) -> bytes:
    def fill(archive: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.type = type_
        for key, value in facts.items():
            setattr(member, key, value)
        archive.addfile(member)

    return foreign(fill)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (info("../etc/passwd"), "leaves the archive"),
        (info("a/../../b"), "leaves the archive"),
        (info("l", tarfile.LNKTYPE, linkname="../x"), "leaves the archive"),
        (info("null", tarfile.CHRTYPE), "a character device"),
        (info("sda", tarfile.BLKTYPE), "a block device"),
        (info("pipe", tarfile.FIFOTYPE), "a FIFO"),
        (info("a\nb"), "control characters"),
        (info("a\x1b[2Jb"), "control characters"),
        (info("x" * 300), "can't be a path"),
        (info("link", tarfile.SYMTYPE), "leads nowhere"),
        (info("a")[:100], "ends within a header"),
        (written((Member("/a", "file", size=9), b"123456789"))[:515], "ends within a file"),
        (info("a").replace(b"ustar", b"USTAR"), "checksum"),
    ],
)
def test_refused(data: bytes, said: str) -> None:
    with pytest.raises(IntegrityError, match=said) as caught:
        listed(data)
    assert caught.value.where.startswith("a.tar")


def test_bounds() -> None:
    two = written((Member("/a", "file", size=600), b"a" * 600), (Member("/b", "file", size=600), b"b" * 600))
    with pytest.raises(IntegrityError, match="more than 1 members"):
        listed(two, Limits(members=1))
    with pytest.raises(IntegrityError, match="over 1000 bytes"):
        listed(two, Limits(size=1000))
    with pytest.raises(IntegrityError, match="for one member"):
        listed(written((Member("/" + "d/" * 700 + "x", "dir"), b"")), Limits(extension=500))


VALID = written(
    (Member("/d", "dir", 0o755), b""),
    (Member("/d/" + "x" * 150, "file", 0o644, 7, 8, 300, "", 5, (("user.x", b"y"),)), b"z" * 300),
    (Member("/l", "link", 0o777, target="d"), b""),
)


@given(
    st.lists(st.tuples(st.integers(0, len(VALID) - 1), st.integers(0, 255)), min_size=1, max_size=6),
    st.integers(0, 9999),
)
@settings(max_examples=300, deadline=None)
def test_mutations_are_read_or_refused(changes: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(VALID)
    for at, value in changes:
        data[at] = value
    try:
        found = listed(bytes(data[: max(cut, 1)]), Limits(size=1 << 20))
    except IntegrityError:
        return
    assert sum(len(content) for _, content in found) <= len(data)


def test_promised_size_is_held_to() -> None:
    writer = Writer(io.BytesIO())
    for data in (b"12", b"1234"):
        with pytest.raises(ValueError, match="3 bytes"):
            writer.add(Member("/a", "file", size=3), (data,))


def test_gnu_tar_accepts_it(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(VALID)
    shown = subprocess.run(["tar", "-tf", tmp_path / "a.tar"], capture_output=True, text=True, check=True)
    assert (shown.stdout.splitlines(), shown.stderr) == (["d/", "d/" + "x" * 150, "l"], "")
