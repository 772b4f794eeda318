"""Images as machines elsewhere: a folder for a monitor, a disk for firmware. Other people's tools read what is made."""

from __future__ import annotations

import json
import lzma
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oslet.formats import cpio
from oslet.formats.boot import decode

from ..conftest import Oslet

pytestmark = [pytest.mark.slow, pytest.mark.network]

STEP = 1 << 20
DECLARATION = """
name = "tiny"
packages = ["busybox-static"]
command = ["/usr/bin/busybox", "echo", "Hello, {who}!"]
volumes = ["/srv/data"]

[files]
"/srv/data/first" = { text = "it begins with this" }
"/etc/tiny.conf" = { text = "who = {who}" }
"/run/secrets/key" = { secret = "key" }

[params]
who = { type = "str", default = "world" }
key = { type = "secret" }

[machine]
kernel = "distribution"
"""


@pytest.fixture
def declaration(tmp_path: Path) -> str:
    (tmp_path / "tiny.toml").write_text(DECLARATION)
    return "tiny.toml"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another umask and another time zone."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    before = os.umask(0o077)
    yield
    os.umask(before)


def unpacked(data: bytes) -> Iterator[bytes]:
    """The archives that follow each other in one file."""
    while data:
        one = lzma.LZMADecompressor()
        yield one.decompress(data)
        data = one.unused_data.lstrip(b"\0")


def record(folder: Path) -> Any:
    members = {m.path: m.data for m in cpio.unpack((folder / "initramfs").read_bytes(), where="initramfs")}
    return decode(members["/.oslet/boot"])


def test_a_folder_has_all_that_a_machine_needs(oslet: Oslet, declaration: str, tmp_path: Path, elsewhere: None) -> None:
    oslet("export", declaration, "--microvm", "one", "--set", "who=there")
    oslet("export", declaration, "--microvm", "deep/two", "--set", "who=there")
    one, two = tmp_path / "one", tmp_path / "deep/two"
    assert {p.name: p.read_bytes() for p in one.iterdir()} == {p.name: p.read_bytes() for p in two.iterdir()}
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in (one, *one.iterdir()))
    manifest = json.loads((one / "machine.json").read_text())
    assert manifest["values"] == {"who": "there"} and manifest["secrets"] == {"key": "/run/secrets/key"}
    assert manifest["volumes"] == {"/srv/data": "volume0.ext4"}
    assert {"bzImage", "initramfs", "root.erofs", "run-qemu.sh"} <= manifest["files"].keys()
    told = record(one)
    assert told.argv[-1] == "Hello, there!"
    assert {f.path: f.data for f in told.files}["/etc/tiny.conf"] == b"who = there"
    assert not [f for f in told.files if f.secret]
    assert [(d.device, d.path) for d in told.disks] == [("serial:volume0", "/srv/data")]
    subprocess.run(["sh", "-n", one / "run-qemu.sh"], check=True)
    assert "volume0.ext4" in (one / "run-qemu.sh").read_text()
    done = oslet("export", declaration, "--microvm", "one", code=5)
    assert "something stands there already" in done.stderr


def test_one_initramfs_can_be_all_of_it(oslet: Oslet, declaration: str, tmp_path: Path) -> None:
    oslet("export", declaration, "--microvm", "all", "--form", "initramfs")
    archives = unpacked((tmp_path / "all/initramfs").read_bytes())
    members = {m.path: m for data in archives for m in cpio.unpack(data, where="initramfs")}
    assert {"/init", "/.oslet/boot", "/usr/bin/busybox", "/srv/data/first"} <= members.keys()
    assert not (tmp_path / "all/root.erofs").exists()
    assert "root.erofs" not in (tmp_path / "all/run-qemu.sh").read_text()


def test_a_disk_is_what_others_say_it_is(
    oslet: Oslet, declaration: str, tools: Callable[..., str], tmp_path: Path, elsewhere: None
) -> None:
    oslet("export", declaration, "--disk", "disk.raw")
    disk = tmp_path / "disk.raw"
    if sfdisk := shutil.which("sfdisk") or shutil.which("sfdisk", path="/sbin:/usr/sbin"):
        said = subprocess.run([sfdisk, "--verify", disk], check=True, capture_output=True, text=True)
        assert "No errors detected" in said.stdout
    partitions = parts(disk)
    assert [p[0] for p in partitions] == [
        "esp",
        partitions[1][0],
        f"{partitions[1][0]}-verity",
        *["_empty"] * 2,
        "tiny-data0",
    ]
    listed = subprocess.run(
        [tools("mtools", "mdir"), "-i", f"{disk}@@{partitions[0][1]}", "-b", "::/EFI/BOOT"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert listed.stdout.split() == ["::/EFI/BOOT/BOOTX64.EFI"]
    root = cut(disk, partitions[1], tmp_path / "root")
    subprocess.run([tools("erofs-utils", "fsck.erofs"), root], check=True, capture_output=True)
    data = cut(disk, partitions[5], tmp_path / "data")
    subprocess.run([tools("e2fsprogs", "e2fsck"), "-f", "-n", data], check=True, capture_output=True)
    shown = subprocess.run([tools("e2fsprogs", "debugfs"), "-R", "cat /first", data], capture_output=True, text=True)
    assert shown.stdout == "it begins with this"
    tree = cut(disk, partitions[2], tmp_path / "tree")
    hashed = (partitions[1][3] + partitions[2][3]).replace("-", "")
    subprocess.run([tools("cryptsetup-bin"), "verify", root, tree, hashed], check=True, capture_output=True)


@pytest.mark.parametrize("form", ["raw", "qcow2", "vmdk"])
def test_a_disk_is_the_same_each_time(oslet: Oslet, declaration: str, tmp_path: Path, form: str) -> None:
    words = ("export", declaration, "--format", form, "--disk")
    oslet(*words, "one")
    oslet.environment["TZ"] = "Pacific/Kiritimati"
    before = os.umask(0o077)
    try:
        oslet(*words, "deep/two")
    finally:
        os.umask(before)
    subprocess.run(["cmp", tmp_path / "one", tmp_path / "deep/two"], check=True)


def parts(disk: Path) -> list[tuple[str, int, int, str]]:
    """Name, start and size in bytes, GUID of each partition, as the first table says."""
    import struct
    import uuid

    found = []
    with disk.open("rb") as file:
        file.seek(1024)
        for _ in range(128):
            _, guid, first, last, _, name = struct.unpack("<16s16sQQQ72s", file.read(128))
            if last:
                text = name.decode("utf-16-le").rstrip("\0")
                found.append((text, first * 512, (last - first + 1) * 512, str(uuid.UUID(bytes_le=guid))))
    return found


def cut(disk: Path, part: tuple[str, int, int, str], file: Path) -> Path:
    """A partition as a file of its own, with the holes that the disk has."""
    with disk.open("rb") as source, file.open("wb") as target:
        target.truncate(part[2])
        source.seek(part[1])
        for at in range(0, part[2], STEP):
            data = source.read(min(STEP, part[2] - at))
            if data.strip(b"\0"):
                target.seek(at)
                target.write(data)
    return file
