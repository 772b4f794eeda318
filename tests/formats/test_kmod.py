"""Kernel modules: what they say of themselves, and the order in which they are loaded."""

from __future__ import annotations

import lzma
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.errors import IntegrityError
from oslet.formats import kmod
from oslet.formats.kmod import Module


def made(folder: Path, *texts: str) -> bytes:
    """An object file with a ``.modinfo`` section of these texts, as the kernel's build makes one."""
    lines = "\n".join(
        f'static const char t{n}[] __attribute__((section(".modinfo"), used)) = "{text}";'
        for n, text in enumerate(texts)
    )
    (folder / "m.c").write_text(lines)
    words = ["-target", "x86_64-linux-gnu.2.36", "-c", "-o", f"{folder}/m.ko", f"{folder}/m.c"]
    done = subprocess.run([sys.executable, "-m", "ziglang", "cc", *words], capture_output=True)
    assert done.returncode == 0, done.stderr
    return (folder / "m.ko").read_bytes()


def test_what_a_module_says(tmp_path: Path) -> None:
    data = made(
        tmp_path,
        "name=ext4",
        "depends=mbcache,jbd2,crc16",
        "softdep=pre: crc32c post: x",
        "alias=fs-ext4",
        "license=GPL",
    )
    module = kmod.read(kmod.unpacked(lzma.compress(data), where="ext4.ko.xz"), where="ext4.ko")
    assert module == Module("ext4", ("mbcache", "jbd2", "crc16"), ("crc32c",), ("fs-ext4",))
    assert kmod.unpacked(data, where="") == data


@pytest.mark.parametrize("data", [b"", b"\x7fELF\x02\x01" + bytes(60), b"\x7fELF\x02\x01" + b"\xff" * 90, b"text" * 40])
def test_what_is_no_module(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        kmod.read(data, where="x.ko")


def test_a_module_that_would_unpack_too_large() -> None:
    with pytest.raises(IntegrityError, match="over 64 MiB"):
        kmod.unpacked(lzma.compress(bytes(kmod.MAX_MODULE + 1)), where="bomb.ko.xz")


@given(st.binary(max_size=300))
def test_hostile_bytes_are_refused_or_read(data: bytes) -> None:
    for each in (data, b"\x7fELF\x02\x01" + data):
        try:
            kmod.read(each, where="x")
        except IntegrityError:
            continue


WORLD = {
    m.name: m
    for m in (
        Module("virtio_net", ("net_failover", "failover")),
        Module("net_failover", ("failover",)),
        Module("failover"),
        Module("erofs", ("libcrc32c",)),
        Module("libcrc32c", (), ("crc32c",)),
        Module("crc32c_fast", (), (), ("crypto-crc32c",)),
    )
}


def test_each_module_comes_after_what_it_needs() -> None:
    names = kmod.order(["virtio_net", "erofs"], WORLD, WORLD.__getitem__)
    assert names == ("failover", "net_failover", "virtio_net", "crc32c_fast", "libcrc32c", "erofs")


def test_what_is_built_in_needs_no_loading() -> None:
    builtin = kmod.builtin(b"crc32c_generic.alias=crypto-crc32c\0crc32c_generic.license=GPL\0virtio-ring.license=GPL\0")
    assert {"crypto-crc32c", "crc32c_generic", "virtio_ring"} <= builtin
    assert kmod.order(["erofs"], WORLD, WORLD.__getitem__, builtin) == ("libcrc32c", "erofs")


def test_a_module_that_isnt_there() -> None:
    with pytest.raises(IntegrityError, match="no module ext4, which the image needs"):
        kmod.order(["ext4"], WORLD, WORLD.__getitem__)


@given(st.dictionaries(st.sampled_from("abcdefg"), st.lists(st.sampled_from("abcdefg"), max_size=4), min_size=7))
def test_order_is_sound_for_any_graph(needs: dict[str, list[str]]) -> None:
    """Every module once; after what it needs, but for those that need each other, which no kernel has."""
    world = {name: Module(name, tuple(others)) for name, others in needs.items()}
    names = kmod.order(sorted(world), world, world.__getitem__)
    assert sorted(names) == sorted(world)
