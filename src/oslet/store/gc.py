"""What the roots reach, and the removal of all else.

Roots are names and pins. An image reaches its tree, lock and objects, and the downloads that its lock names, so that it
can be built again without its archive. A memo stays while everything that it mentions stays. A kernel, which no image
names but whose making takes minutes, stays for a month after its last use, if no newer one for the same wish is there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from oslet.codec import digest as digest_of
from oslet.errors import IntegrityError
from oslet.model.image import Image
from oslet.model.lock import Lock
from oslet.model.tree import Tree
from oslet.store.contents import permissions
from oslet.store.machines import orphans
from oslet.store.trees import remove

if TYPE_CHECKING:
    from oslet.store import Store

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


class Freed(NamedTuple):
    """What a collection removed (or, dry, would remove): counts by kind, and bytes on disk."""

    images: int = 0
    trees: int = 0
    objects: int = 0
    blobs: int = 0
    values: int = 0
    memos: int = 0
    temporary: int = 0
    snapshots: int = 0
    machines: int = 0
    kernels: int = 0
    bytes: int = 0


class _Live:
    """Everything that the roots reach."""

    def __init__(self, store: Store) -> None:
        self.images: set[str] = set()
        self.trees: set[str] = set()
        self.values: set[str] = set()
        self.blobs: set[str] = set()
        self.objects: set[tuple[str, int]] = set()
        for digest in {*store.image_names().values(), *store.pins().values()}:
            self._image(store, digest)
        for digest in {*store.pinned_trees().values()}:
            self._tree(store, digest)

    def _image(self, store: Store, digest: str) -> None:
        if not (store.root / "images" / digest).is_file():
            return
        # One that can't be read ends the collection with its error: what it reaches is unknown, so nothing may go.
        image = store.load(digest, Image)
        self.images.add(digest)
        self.trees.add(image.tree)
        self.values |= {digest, image.tree, image.lock}
        tree = store.load(image.tree, Tree)
        self.objects |= _objects(tree) | _made(tree)
        lock = store.load(image.lock, Lock)
        self.blobs |= {package.sha256 for package in lock.packages} | {wheel.sha256 for wheel in lock.wheels}
        if lock.image is not None:
            self.blobs |= {layer.digest.removeprefix("sha256:") for layer in lock.image.layers}

    def _tree(self, store: Store, digest: str) -> None:
        """A tree that an instance runs on, and that is no image's."""
        if (store.root / "values" / digest[:2] / digest).is_file():
            self.trees.add(digest)
            self.values.add(digest)
            self.objects |= _objects(store.load(digest, Tree))

    def spare(self, store: Store, mentioned: str) -> None:
        """Keeps a tree that some memo mentions if it costs nothing: all of its objects are live anyway."""
        try:
            tree = store.load(mentioned, Tree)
        except IntegrityError:
            return
        # Another value may read as a tree without entries; only a tree spells itself again.
        if digest_of(tree) == mentioned and _objects(tree) <= self.objects:
            self.values.add(mentioned)


def _objects(tree: Tree) -> set[tuple[str, int]]:
    return {(entry.digest, permissions(entry.mode)) for entry in tree.entries if entry.kind == "file"}


def _made(tree: Tree) -> set[tuple[str, int]]:
    """What oslet made and left out again: small, but for byte code, and in no package that could be unpacked anew."""
    made = (e for e in tree.dropped if e.origin.startswith("made:") and e.origin != "made:bytecode")
    return {(e.digest, permissions(e.mode)) for e in made if e.kind == "file"}


def collect(store: Store, *, dry_run: bool) -> Freed:
    """Removes what no root reaches. In this order, so that a crash leaves nothing that mentions what is gone:
    image records, memos, machines, trees, then contents. The caller holds the exclusive lock."""
    root = store.root
    live = _Live(store)
    values = {path.name: path for path in _files(root / "values")}
    blobs = {path.name: path for path in _files(root / "blobs")}
    memos = [(path, {found.decode() for found in _DIGEST.findall(path.read_bytes()[65:])}) for path in _memos(root)]
    kept_by_content = {digest for digest, _ in live.objects}
    for _, mentioned in memos:
        for digest in mentioned & values.keys() - live.values:
            live.spare(store, digest)
    objects = [path for path in _files(root / "objects") if _object_key(path) not in live.objects]
    gone = (values.keys() - live.values) | (blobs.keys() - live.blobs)
    gone |= {path.name.partition(".")[0] for path in objects} - kept_by_content
    drop: dict[str, list[Path]] = {
        "images": [path for path in (root / "images").iterdir() if path.name not in live.images],
        "memos": [path for path, mentioned in memos if mentioned & gone],
        "machines": orphans(root, live.trees),
        "trees": [path for path in (root / "trees").iterdir() if path.name not in live.trees],
        "values": [path for name, path in values.items() if name not in live.values],
        "blobs": [path for name, path in blobs.items() if name not in live.blobs],
        "objects": objects,
        "temporary": list((root / "tmp").iterdir()),
        "kernels": store.kernels.unused(),
    }
    # A tree's files are its objects' inodes, so they are counted once, as objects.
    size = sum(_size(path) for kind, paths in drop.items() if kind != "trees" for path in paths)
    if not dry_run:
        for kind, paths in drop.items():
            for path in paths:
                _remove(root, kind, path)
    return Freed(**{kind: len(paths) for kind, paths in drop.items()}, bytes=size)


def _remove(root: Path, kind: str, path: Path) -> None:
    if kind not in ("trees", "machines", "kernels"):
        remove(path)
        return
    aside = root / "tmp" / f"gc-{path.name}"
    os.rename(path, aside)  # noqa: PTH104 (it is there whole or not at all)
    remove(aside)


def _size(path: Path) -> int:
    return sum(p.lstat().st_size for p in (path.rglob("*") if path.is_dir() and not path.is_symlink() else (path,)))


def _object_key(path: Path) -> tuple[str, int]:
    digest, _, mode = path.name.partition(".")
    return digest, int(mode, 8) if mode.isdigit() and len(mode) < 5 else -1


def _files(room: Path) -> Iterator[Path]:
    for folder in sorted(room.iterdir()):
        yield from sorted(folder.iterdir())


def _memos(root: Path) -> Iterator[Path]:
    yield from _files(root / "memo")
