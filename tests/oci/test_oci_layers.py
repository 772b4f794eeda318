"""Layers: a package is the same layer in every image, and the tar says what the tree says."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.build.layers import layers, partition
from oslet.build.rootfs import export_rootfs
from oslet.errors import BuildError, IntegrityError
from oslet.formats.layer import Unpacked
from oslet.formats.tar import Member, read
from oslet.model.tree import Entry, Tree
from tests.oci.world import small, tree_of


def members(path: Path, compression: str, diff: str) -> dict[str, Member]:
    with path.open("rb") as file:
        tar = Unpacked(file, compression, limit=1 << 24, where="layer")
        found = {member.path: member for member, _ in read(tar, where="layer")}
        tar.finish(diff.removeprefix("sha256:"))
    return found


def test_a_layer_for_each_package_then_made_then_files(tmp_path: Path) -> None:
    world = small(tmp_path)
    made = layers(world.tree, world.store)
    assert [layer.name for layer in made] == ["app", "libone", "made", "files"]
    app = members(made[0].blob.path, "gzip", made[0].diff_id)
    assert list(app) == ["/usr", "/usr/bin", "/usr/bin/app", "/var", "/var/lib", "/var/lib/app"]
    assert app["/var/lib/app"].mode == 0o750


def test_equal_large_files_are_one_in_their_layer(tmp_path: Path) -> None:
    world = small(tmp_path)
    lib = next(layer for layer in layers(world.tree, world.store) if layer.name == "libone")
    same = members(lib.blob.path, "gzip", lib.diff_id)["/usr/lib/same"]
    assert (same.kind, same.target) == ("hardlink", "/usr/lib/one")


def test_two_images_share_the_layers_of_their_common_packages(tmp_path: Path) -> None:
    world = small(tmp_path)
    other = tree_of(
        world.store,
        {
            "/usr/bin/app": (b"\x7fELF not quite", "app"),
            "/usr/bin/other": (b"more", "other"),
            "/var/lib/other/x": (b"x", "other"),
        },
        (Entry("/var/lib/app", "dir", 0o750, 0, 0, origin="app", reason="another reason"),),
    )
    first = {layer.name: layer.blob.descriptor.digest for layer in layers(world.tree, world.store)}
    second = {layer.name: layer.blob.descriptor.digest for layer in layers(other, world.store)}
    assert first["app"] == second["app"]


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_a_second_export_and_a_cold_store_give_the_same_bytes(tmp_path: Path, compression: str) -> None:
    a, b = small(tmp_path / "a"), small(tmp_path / "b")
    first = [layer.blob.descriptor for layer in layers(a.tree, a.store, compression=compression)]  # type: ignore[arg-type]
    again = [layer.blob.descriptor for layer in layers(a.tree, a.store, compression=compression)]  # type: ignore[arg-type]
    cold = [layer.blob.descriptor for layer in layers(b.tree, b.store, compression=compression)]  # type: ignore[arg-type]
    assert first == again == cold


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 99)), min_size=1, max_size=60), st.integers(3, 12))
def test_every_path_is_in_a_layer_and_there_are_never_too_many(files: list[tuple[int, int]], most: int) -> None:
    entries = {f"/d/{n}/{origin}": Entry(f"/d/{n}/{origin}", "file", 0o644, origin=f"p{origin}") for origin, n in files}
    for path in [*entries]:
        folder = path.rpartition("/")[0]
        entries[folder] = Entry(folder, "dir", 0o755, origin="made:x")
    entries["/d"] = Entry("/d", "dir", 0o755, origin="made:x")
    tree = Tree(tuple(entries[path] for path in sorted(entries)))
    parts = partition(tree, most)
    assert len(parts) <= most
    assert {entry for _, part in parts for entry in part} == set(tree.entries)
    once = [entry.path for _, part in parts for entry in part if entry.kind == "file"]
    assert len(once) == len(set(once))


def test_a_file_below_no_folder_is_refused() -> None:
    with pytest.raises(BuildError, match="no folder of the tree"):
        partition(Tree((Entry("/lib", "link", 0o777, target="usr/lib"), Entry("/lib/x", "file", 0o644))))


def test_rootfs_is_the_tree(tmp_path: Path) -> None:
    world = small(tmp_path / "store")
    export_rootfs(world.tree, world.store, tmp_path / "root")
    for entry in world.tree.entries:
        path = tmp_path / "root" / entry.path.lstrip("/")
        assert path.is_symlink() == (entry.kind == "link")
        assert entry.kind == "link" or path.stat().st_mode & 0o7777 == entry.mode
    assert (tmp_path / "root/usr/bin/app").read_bytes() == b"\x7fELF not quite"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["root", "store"]
    with pytest.raises(BuildError, match="stands there already"):
        export_rootfs(world.tree, world.store, tmp_path / "root")


@pytest.mark.parametrize("damage", [b"\x7fELF not quitf", b"\x7fELF", b"\x7fELF not quite and more"])
def test_a_damaged_object_reaches_no_layer(tmp_path: Path, damage: bytes) -> None:
    world = small(tmp_path)
    app = next(entry for entry in world.tree.entries if entry.path == "/usr/bin/app")
    path = world.store.object(app.digest)
    path.chmod(0o755)
    path.write_bytes(damage)
    with pytest.raises(IntegrityError, match="isn't what was stored"):
        layers(world.tree, world.store)


def test_a_bomb_is_refused() -> None:
    import gzip

    bomb = io.BytesIO(gzip.compress(bytes(10 << 20)))
    with pytest.raises(IntegrityError, match="more than its image may hold"):
        Unpacked(bomb, "gzip", limit=1 << 20, where="layer").finish("0" * 64)
