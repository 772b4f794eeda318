"""Volumes as disks: ext4 files with what the image or a folder has, whoever makes them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from oslet.errors import RunError
from oslet.model.tree import Entry, Tree
from oslet.run import ids
from oslet.run.machine.disks import FILE, disk, of_folder, of_image
from oslet.run.placing import Index
from oslet.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.network]


SAME = ids.Mapping((), (), (ids.Extent(0, 0, 1 << 16),), (ids.Extent(0, 0, 1 << 16),))
"""Ids that mean the same inside."""


@pytest.fixture
def mke2fs(tools: Callable[..., str]) -> Path:
    return Path(tools("e2fsprogs"))


def said(mke2fs: Path, file: Path, request: str) -> str:
    """What debugfs says of a disk, which e2fsck finds nothing wrong with."""
    subprocess.run([mke2fs.with_name("e2fsck"), "-f", "-n", file], check=True, capture_output=True)
    words = [str(mke2fs.with_name("debugfs")), "-R", request, str(file)]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def listed(mke2fs: Path, file: Path, folder: str) -> dict[str, tuple[str, str, str]]:
    """Name → mode, uid, gid."""
    rows = [line.split("/") for line in said(mke2fs, file, f"ls -p {folder}").splitlines() if line]
    return {row[5]: (row[2], row[3], row[4]) for row in rows}


def test_a_volume_begins_as_the_image_has_it(mke2fs: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    entries = (
        Entry("/data", "link", 0o777, target="srv/data"),
        Entry("/srv", "dir", 0o755),
        Entry("/srv/data", "dir", 0o2770, 70_000, 34),
        Entry("/srv/data/file", "file", 0o640, 33, 34, 4, store.put(b"text", 0o640)),
        Entry("/srv/data/link", "link", 0o777, target="file"),
        Entry("/srv/other", "dir", 0o755),
    )
    root = store.lay_down(Tree(entries))
    file = tmp_path / "volumes/app/data"
    disk(file, mke2fs, of_image(Index.of(entries), root, "/data", (5, 5)))
    assert listed(mke2fs, file, "/") == {
        ".": ("042770", "70000", "34"),
        "..": ("042770", "70000", "34"),
        "lost+found": ("040700", "0", "0"),
        "file": ("100640", "33", "34"),
        "link": ("120777", "0", "0"),
    }
    assert said(mke2fs, file, "cat /file") == "text"
    status = file.stat()
    assert status.st_size == 1 << 30 and status.st_blocks * 512 < 8 << 20

    before = file.read_bytes()[: 1 << 20]
    disk(file, mke2fs, (), size=1 << 21)
    assert file.stat().st_size == 1 << 30 and file.read_bytes()[: 1 << 20] == before
    empty = disk(tmp_path / "empty", mke2fs, of_image(Index.of(entries), root, "/srv/other", (33, 34)), size=1 << 22)
    assert listed(mke2fs, empty, "/")["."] == ("040755", "33", "34")
    assert sorted(path.name for path in tmp_path.rglob("volumes/app/*")) == ["data"]


def test_a_folder_becomes_a_disk(mke2fs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "a b").mkdir(parents=True)
    (folder / "a b/ünïcode").write_bytes(os.urandom(3 << 20))
    (folder / "link").symlink_to("a b")
    os.mkfifo(folder / "fifo")
    file = disk(tmp_path / "disk", mke2fs, of_folder(folder, SAME), size=32 << 20, name="volume")
    names = listed(mke2fs, file, "/")
    assert names.keys() == {".", "..", "lost+found", "a b", "link"}
    assert names["a b"][1:] == (str(os.getuid()), str(os.getgid()))
    whole = tmp_path / "out"
    said(mke2fs, file, f'dump "/a b/ünïcode" {whole}')
    assert whole.read_bytes() == (folder / "a b/ünïcode").read_bytes()
    within = disk(folder / FILE, mke2fs, of_folder(folder, SAME), size=32 << 20)
    assert listed(mke2fs, within, "/").keys() == names.keys()
    with pytest.raises(RunError, match="can't make"):
        disk(tmp_path / "small", mke2fs, of_folder(folder, SAME), size=1 << 20)
    assert not (tmp_path / "small").exists() and not list(tmp_path.glob(".small*"))


def test_a_named_disk_is_the_same_bytes_each_time(mke2fs: Path, tmp_path: Path) -> None:
    uuid = "4f6e1f4a-0000-8000-8000-000000000001"
    one, two = (disk(tmp_path / n, mke2fs, size=8 << 20, uuid=uuid).read_bytes() for n in ("one", "two"))
    assert one == two
