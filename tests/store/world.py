"""A small store's world: trees and images from a few texts."""

from __future__ import annotations

from collections.abc import Mapping

from oslet.model.image import Image
from oslet.model.lock import Lock, Package
from oslet.model.oslet import Start
from oslet.model.tree import Entry, Tree
from oslet.store import Store


def tree(store: Store, files: Mapping[str, bytes]) -> Tree:
    """The tree of ``files`` by absolute path, their contents kept in the store."""
    entries: dict[str, Entry] = {}
    for path, data in files.items():
        parent = path.rpartition("/")[0]
        while parent:
            entries[parent] = Entry(parent, "dir", 0o755)
            parent = parent.rpartition("/")[0]
        mode = 0o755 if "/bin/" in path else 0o644
        entries[path] = Entry(path, "file", mode, size=len(data), digest=store.put(data, mode))
    return Tree(tuple(entries[path] for path in sorted(entries)))


def image(store: Store, name: str, files: Mapping[str, bytes], packages: tuple[str, ...] = ()) -> Image:
    """An unsealed image of ``files`` whose lock names packages by digest; its tree is laid down."""
    whole = tree(store, files)
    store.lay_down(whole)
    lock = Lock(
        "", "trixie", "amd64", packages=tuple(Package(d[:8], "1", "amd64", "", "", 1, d, "", "") for d in packages)
    )
    return Image(
        name=name,
        arch="amd64",
        plan="",
        tree=store.save(whole),
        lock=store.save(lock),
        start=Start(),
        params=(),
        rendered=(),
        files=whole.files,
        size=whole.size,
        uid=0,
        gid=0,
    )


def sealed(store: Store, name: str, files: Mapping[str, bytes], packages: tuple[str, ...] = ()) -> str:
    return store.seal(image(store, name, files, packages))
