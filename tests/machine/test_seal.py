"""A tree, sealed: one read-only file system with the tree's own owners, an initramfs, a kernel."""

from __future__ import annotations

import lzma
import os
import stat
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from oslet.build.machine.erofs import Compression
from oslet.build.machine.initramfs import initramfs
from oslet.build.machine.seal import Core, seal
from oslet.build.machine.whole import Packing, whole
from oslet.formats import cpio
from oslet.model.tree import Entry, Tree
from oslet.store import Store
from oslet.store.trees import landing

from ..store.world import sealed


def test_an_initramfs_holds_what_init_reads(tmp_path: Path) -> None:
    modules = [tmp_path / name for name in ("virtio_blk.ko", "ext4.ko")]
    for path in modules:
        path.write_bytes(path.name.encode())
    found = {m.path: m for m in cpio.unpack(initramfs(b"program", modules, b"record"), where="it")}
    assert found["/init"].data == b"program" and stat.S_IMODE(found["/init"].mode) == 0o755
    assert found["/modules.list"].data == b"/modules/virtio_blk.ko\n/modules/ext4.ko\n"
    assert found["/modules/ext4.ko"].data == b"ext4.ko"
    assert found["/.oslet/boot"].data == b"record" and stat.S_IMODE(found["/.oslet/boot"].mode) == 0o600
    assert found["/dev/console"].device == (5, 1)
    assert list(found) == sorted(found, key=list(found).index)  # folders before what stands in them
    bare = [m.path for m in cpio.unpack(initramfs(b"program"), where="it")]
    assert bare == ["/dev", "/dev/console", "/init"]


@pytest.mark.parametrize("packing", get_args(Packing))
def test_one_archive_is_the_packages_and_another_what_a_change_changes(tmp_path: Path, packing: Packing) -> None:
    store = Store(tmp_path)

    def made(application: bytes) -> bytes:
        files = {"/app/main": (application, "files"), "/usr/lib/x": (b"x" * 9999, "libx")}
        entries = [
            Entry(path, "file", 0o755, size=len(data), digest=store.put(data), origin=origin)
            for path, (data, origin) in files.items()
        ]
        folders = [Entry(path, "dir", 0o755, origin="libx") for path in ("/app", "/usr", "/usr/lib")]
        tree = Tree(tuple(sorted([*folders, *entries], key=lambda e: e.path)))
        return whole(tree, store, b"init", boot=b"record", packing=packing)

    def archives(data: bytes) -> Iterator[bytes]:
        while data:
            one = zlib.decompressobj(wbits=31) if packing == "gzip" else lzma.LZMADecompressor()
            yield one.decompress(data)
            data = one.unused_data.lstrip(b"\0")

    first, second = list(archives(made(b"1"))), list(archives(made(b"2")))
    assert first[0] == second[0] and len(first) == len(second) == 2
    found = {m.path: m.data for each in second for m in cpio.unpack(each, where="it")}
    assert (found["/app/main"], found["/init"], found["/.oslet/boot"]) == (b"2", b"init", b"record")
    paths = [m.path for each in second for m in cpio.unpack(each, where="it")]
    assert paths.index("/app") < paths.index("/app/main") and len(paths) == len(set(paths))
    store.gc()
    assert list(archives(made(b"1"))) == first, "remade where its memory is gone"


def test_a_machine_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def fails(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise KeyError

    with pytest.raises(KeyError):
        store.keep_machine("ab", "tree", fails)
    assert not list((tmp_path / "tmp").iterdir()) and not (tmp_path / "machines" / "ab").exists()
    made = store.keep_machine("ab", "tree", lambda folder: (folder / "file").touch(0o600))
    assert stat.S_IMODE((made / "file").stat().st_mode) == 0o644
    assert store.keep_machine("ab", "tree", fails) == made


def test_another_process_may_be_quicker(tmp_path: Path) -> None:
    disk, path = Store(tmp_path / "store")._disk, tmp_path / "store/kernels/k"
    with landing(disk, path) as mine:
        mine.mkdir()
        path.mkdir(parents=True)
        (path / "theirs").touch()
    assert [each.name for each in path.iterdir()] == ["theirs"] and not mine.exists()


def test_gc_keeps_machines_as_long_as_their_tree(tmp_path: Path) -> None:
    store = Store(tmp_path)
    tree = store.find(sealed(store, "app", {"/bin/app": b"x"}))[1].tree
    for key, of in (("kept", tree), ("gone", "another tree")):
        store.keep_machine(key, of, lambda folder: (folder / "file").touch())
    (tmp_path / "machines" / "damaged").mkdir()
    assert store.gc(dry_run=True).machines == 2
    assert store.gc().machines == 2
    assert [path.name for path in (tmp_path / "machines").iterdir()] == ["kept"]
    store.untag("app")
    assert store.gc().machines == 1


def world(store: Store) -> str:
    """A tree with owners, modes, links and a file of each size that erofs stores otherwise."""
    sizes = {f"/data/{size}": os.urandom(size // 2) + bytes(size - size // 2) for size in (0, 1, 5000, 300_000)}
    entries = [
        Entry("/bin", "link", 0o777, target="usr/bin"),
        Entry("/data", "dir", 0o750, 33, 34),
        *(Entry(p, "file", 0o640, 33, 70_000, len(d), store.put(d, 0o640)) for p, d in sizes.items()),
        Entry("/tmp", "dir", 0o1770, 5, 6),
        Entry("/usr", "dir", 0o755),
        Entry("/usr/bin", "dir", 0o755),
        Entry("/usr/bin/su", "file", 0o4755, size=4, digest=store.put(b"suid", 0o4755)),
    ]
    return store.save(Tree(tuple(sorted(entries, key=lambda entry: entry.path))))


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("compression", ["none", "lz4hc", "lzma"])
def test_a_tree_is_sealed_with_its_owners_and_twice_alike(
    compression: Compression, tools: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = tmp_path / "bzImage"
    kernel.write_bytes(b"kernel")
    mkfs = Path(tools("erofs-utils"))
    store = Store(tmp_path / "store")
    tree = world(store)
    made = seal(tree, store, Core("key", kernel), b"init", mkfs, boot=b"record", compression=compression)
    assert {path.name for path in made.iterdir()} == {"kernel", "initramfs", "root.erofs", "of"}
    assert (made / "kernel").read_bytes() == b"kernel"
    again = seal(tree, store, Core("key", kernel), b"init", mkfs, boot=b"record", compression=compression)
    assert again == made

    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    before = os.umask(0o077)
    try:
        other = Store(tmp_path / "elsewhere" / "store")
        for entry in store.load(tree, Tree).entries:
            if entry.kind == "file":
                other.put(store.read(entry.digest), entry.mode)
        other.save(store.load(tree, Tree))
        twin = seal(tree, other, Core("key", kernel), b"init", mkfs, boot=b"record", compression=compression)
    finally:
        os.umask(before)
    for name in ("kernel", "initramfs", "root.erofs"):
        assert (twin / name).read_bytes() == (made / name).read_bytes()

    root = str(made / "root.erofs")
    fsck = tools("erofs-utils", "fsck.erofs")
    subprocess.run([fsck, f"--extract={tmp_path}/out", "--no-preserve", root], check=True, capture_output=True)
    for entry in store.load(tree, Tree).entries:
        there = tmp_path / "out" / entry.path[1:]
        if entry.kind == "file":
            assert there.read_bytes() == store.read(entry.digest)
        elif entry.kind == "link":
            assert os.readlink(there) == entry.target
        told = facts(tools("erofs-utils", "dump.erofs"), root, entry.path)
        assert told == (entry.mode, entry.uid, entry.gid), entry.path
    assert (tmp_path / "out/proc").is_dir()


def facts(dump: str, image: str, path: str) -> tuple[int, int, int]:
    """Mode, uid and gid of a path. dump.erofs tells all but the bits above 0777, which stand in the inode."""
    text = subprocess.run([dump, f"--path={path}", image], check=True, capture_output=True, text=True).stdout
    words = text.split()
    nid, uid, gid = (int(words[words.index(f"{name}:") + 1]) for name in ("NID", "Uid", "Gid"))
    with Path(image).open(
        "rb"
    ) as file:  # erofs's superblock is at 1024, its meta_blkaddr 40 bytes in; an i_mode 4 bytes in
        file.seek(1024 + 40)
        start = int.from_bytes(file.read(4), "little") * 4096
        file.seek(start + nid * 32 + 4)
        return stat.S_IMODE(int.from_bytes(file.read(2), "little")), uid, gid
