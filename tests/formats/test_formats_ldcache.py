"""ld.so.cache: what oslet writes is what ldconfig reads and ld.so finds."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oslet.errors import IntegrityError
from oslet.formats import ldcache
from oslet.formats.ldcache import FLAGS, Library

_X86 = FLAGS["x86-64"]
_ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
_names = st.from_regex(r"lib[a-c0-9]{1,4}\.so(\.[0-9]{1,3}){0,2}", fullmatch=True)


@settings(max_examples=30, deadline=None)
@given(st.lists(_names, unique=True, max_size=20), st.randoms())
def test_the_order_of_libraries_is_no_matter(names: list[str], random: object) -> None:
    libraries = [Library(n, f"/usr/lib/{n}", _X86) for n in names]
    data = ldcache.write(libraries)
    assert ldcache.write(reversed(libraries)) == data
    assert sorted(ldcache.read(data)) == sorted(libraries)


@given(st.binary(max_size=200))
def test_other_bytes_are_an_error(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        ldcache.read(ldcache.MAGIC + data[:20])


def test_digits_compare_as_numbers() -> None:
    assert ldcache.order("libz.so.10") > ldcache.order("libz.so.9") > ldcache.order("libz.so")


@pytest.mark.skipif(_ldconfig is None, reason="this machine has no ldconfig")
def test_ldconfig_reads_it(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.write_bytes(ldcache.write([Library("liba.so.1", "/usr/lib/liba.so.1", _X86)]))
    assert _ldconfig is not None
    shown = subprocess.run([_ldconfig, "-p", "-C", str(cache)], capture_output=True, text=True, check=True).stdout
    assert "liba.so.1 (libc6,x86-64) => /usr/lib/liba.so.1" in shown and "oslet" in shown


def test_the_loader_finds_through_it(tmp_path: Path) -> None:
    """A root where libc is in a folder that only the cache knows."""
    if platform.machine() != "x86_64" or not Path("/lib64/ld-linux-x86-64.so.2").exists():
        pytest.skip("needs glibc on x86-64")
    libc = next((p for p in ("/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/libc.so.6") if Path(p).exists()), None)
    if libc is None:
        pytest.skip("needs glibc on x86-64")
    for folder in ("bin", "lib64", "odd", "etc"):
        (tmp_path / folder).mkdir()
    shutil.copy(os.path.realpath("/bin/true"), tmp_path / "bin/true")
    shutil.copy(os.path.realpath("/lib64/ld-linux-x86-64.so.2"), tmp_path / "lib64/ld-linux-x86-64.so.2")
    shutil.copy(os.path.realpath(libc), tmp_path / "odd/libc.so.6")
    enter = ["chroot"] if os.geteuid() == 0 else ["unshare", "-r", "chroot"]
    if os.geteuid() and subprocess.run(["unshare", "-r", "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    before = subprocess.run([*enter, str(tmp_path), "/bin/true"], capture_output=True)
    assert before.returncode == 127 and b"libc.so.6" in before.stderr
    others = [Library(f"lib{c}.so.{n}", f"/odd/lib{c}.so.{n}", _X86) for c in "abcxyz" for n in (1, 2, 10)]
    (tmp_path / "etc/ld.so.cache").write_bytes(ldcache.write([*others, Library("libc.so.6", "/odd/libc.so.6", _X86)]))
    after = subprocess.run([*enter, str(tmp_path), "/bin/true"], capture_output=True)
    assert after.returncode == 0, after.stderr
