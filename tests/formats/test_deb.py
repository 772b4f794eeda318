"""Debian packages: made ones, real ones, damaged ones."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oslet.errors import IntegrityError
from oslet.formats import deb, tar
from oslet.testing.makers import Compression, Made, make_ar, make_deb, make_tar

FILES: dict[str, bytes | str | Made] = {
    "/usr/bin/hello": "#!/bin/sh\necho hello\n",
    "/usr/share/doc/hello/copyright": "free" * 40_000,
    "/usr/bin/hi": Made(link="hello"),
    "/usr/bin/hey": Made(hard="/usr/bin/hello", mode=0o755),
    "/var/lib/hello": Made(kind="dir", mode=0o2750, uid=33, gid=33),
}


def listed(path: Path) -> dict[str, tuple[str, int, int, str, bytes]]:
    return {m.path: (m.kind, m.mode, m.uid, m.target, b"".join(data)) for m, data in deb.members(path)}


@pytest.mark.parametrize("compression", ["xz", "zst", "gz", "bz2", ""])
def test_reads_every_compression(tmp_path: Path, compression: Compression) -> None:
    path = tmp_path / "hello.deb"
    path.write_bytes(make_deb(files=FILES, scripts={"postinst": "#!/bin/sh\nexit 0\n"}, compression=compression))
    assert deb.control(path)["postinst"] == b"#!/bin/sh\nexit 0\n"
    assert b"Package: hello\n" in deb.control(path)["control"]
    found = listed(path)
    assert found["/usr/bin/hello"] == ("file", 0o755, 0, "", b"#!/bin/sh\necho hello\n")
    assert found["/usr/share/doc/hello/copyright"][4] == b"free" * 40_000
    assert found["/usr/bin/hi"][3] == "hello"
    assert found["/usr/bin/hey"][:4] == ("hardlink", 0o755, 0, "/usr/bin/hello")
    assert found["/var/lib/hello"][:3] == ("dir", 0o2750, 33)


def test_made_packages_are_deterministic() -> None:
    assert make_deb(files=FILES) == make_deb(files=dict(reversed(FILES.items())))


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is the oracle here")
def test_dpkg_accepts_made_packages(tmp_path: Path) -> None:
    path = tmp_path / "hello.deb"
    path.write_bytes(make_deb(files=FILES, control={"Depends": "libc6"}))
    shown = subprocess.run(["dpkg-deb", "-f", path, "Depends"], capture_output=True, text=True, check=True)
    assert shown.stdout == "libc6\n"
    assert_like_dpkg(path, tmp_path)


def assert_like_dpkg(path: Path, tmp_path: Path) -> None:
    """What ``dpkg-deb -x`` unpacks is what we read: kinds, contents, targets, modes."""
    root = tmp_path / "unpacked"
    root.mkdir()
    archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-xp", "--no-same-owner", "-C", root], input=archive, check=True)
    seen = {"/"}
    for member, data in deb.members(path):
        content = b"".join(data)
        if member.path == "/":
            continue
        seen.add(member.path)
        at = root / member.path[1:]
        if member.kind == "link":
            assert str(at.readlink()) == member.target
        elif member.kind == "dir":
            assert at.is_dir()
            assert at.stat().st_mode & 0o777 == member.mode & 0o777
        elif member.kind == "file":
            assert at.read_bytes() == content
            assert at.stat().st_mode & 0o777 == member.mode & 0o777
        else:
            assert at.samefile(root / member.target[1:])
    found = {"/" + os.path.relpath(os.path.join(d, n), root) for d, ds, fs in os.walk(root) for n in (*ds, *fs)}  # noqa: PTH118
    assert found <= seen


@pytest.mark.network
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt-get is the way to the archive here")
@pytest.mark.parametrize("package", ["hello", "passwd", "base-files"])
def test_real_packages_read_as_dpkg_reads_them(tmp_path: Path, package: str) -> None:
    tmp_path.chmod(0o755)
    got = subprocess.run(["apt-get", "download", "-q", package], cwd=tmp_path, capture_output=True)
    if got.returncode:
        pytest.skip("the archive can't be reached")
    path = next(tmp_path.glob("*.deb"))
    assert f"Package: {package}\n".encode() in deb.control(path)["control"]
    assert_like_dpkg(path, tmp_path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a Debian package"),
        (b"!<arch>\n", "no debian-binary"),
        (make_ar({"debian-binary": b"3.0\n"}), "of format"),
        (make_ar({"debian-binary": b"2.0\n"}), "has no data.tar"),
        (make_ar({"debian-binary": b"2.0\n", "data.tar.lz": b""}), "unknown way"),
        (make_ar({"debian-binary": b"2.0\n", "data.tar.xz": b"no xz at all"}), "decompressed"),
        (make_ar({"debian-binary": b"2.0\n", "data.tar": make_tar({"/a": Made(b"x" * 999)})[:1600]}), "ends within"),
        (make_ar({"debian-binary": b"2.0\n"} | {f"_{n}": b"" for n in range(20)}), "more than 16"),
        (make_deb(files=FILES)[:-200], "ends within"),
    ],
)
def test_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=said) as caught:
        listed(path)
    assert caught.value.where.startswith("x.deb")


def test_bombs_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "x.deb"
    path.write_bytes(make_deb(files={"/zero": bytes(8 << 20)}))
    with pytest.raises(IntegrityError, match="over 1048576 bytes"):
        list(deb.members(path, tar.Limits(size=1 << 20)))


VALID = make_deb(files=FILES, compression="")
PACKED = make_deb(files=FILES)


@given(
    st.sampled_from([VALID, PACKED]),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4),
    st.floats(0.1, 1),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutations_are_read_or_refused(
    tmp_path: Path, valid: bytes, changes: list[tuple[float, int]], part: float
) -> None:
    data = bytearray(valid)
    for at, value in changes:
        data[int(at * len(data))] = value
    path = tmp_path / "x.deb"
    path.write_bytes(data[: int(part * len(data)) + 1])
    for reading in (lambda: deb.control(path), lambda: listed(path)):
        try:
            reading()
        except IntegrityError as error:
            assert len(str(error).splitlines()) <= 12
