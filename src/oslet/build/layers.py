"""A tree as layers: one for each package, so that images on the same suite share them.

A layer holds the files, links and empty folders that one origin brought, and every folder above them as the tree has
it: engines that keep layers apart (overlayfs) take a folder's owner and mode from the topmost layer that holds it, and
make missing parents up. Folders that aren't empty belong to no origin, since which of several packages named them
first differs between images. Times are 0, names sorted: equal entries give equal bytes.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, NamedTuple

from msgspec import Struct

from oslet.codec import canonical, decode, digest
from oslet.errors import BuildError, IntegrityError
from oslet.formats import layer, oci
from oslet.formats.layer import Compression
from oslet.formats.tar import Member, Writer
from oslet.model.tree import Entry, Tree
from oslet.store import Store

MAX_LAYERS = 100
"""Engines take 125 to 127; the rest is room for what people build on top."""

_ROOM = "layers"
_FORMAT = 1
"""Of the layers' bytes: counts up when the same entries would be written differently."""

_HARD_LINK = 64 << 10
"""Equal files of at least so many bytes, with equal owners and modes, are one file in their layer's tar."""

_MEDIA_TYPES: dict[str, str] = {"gzip": oci.LAYER_GZIP, "zstd": oci.LAYER_ZSTD, "none": oci.LAYER}

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


class Layer(NamedTuple):
    """One layer: whose files it holds, its blob in the store, and the digest of the tar within."""

    name: str
    blob: oci.Blob
    diff_id: str


class _Made(Struct, frozen=True):
    """What the store remembers of a layer once made."""

    blob: str
    size: int
    diff: str


def layers(
    tree: Tree, store: Store, *, compression: Compression = "gzip", progress: Progress | None = None
) -> tuple[Layer, ...]:
    """The tree's layers, their blobs in the store, in the order they are to be applied.

    Packages come first, by name; then wheels, what oslet made, and the declaration's own files, which change most.
    A layer that was made before is a look-up. At most ``MAX_LAYERS``.
    """
    parts = partition(tree)
    done: list[Layer] = []
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for made in pool.map(lambda part: make(part[0], part[1], store, compression=compression), parts):
            done.append(made)
            if progress:
                progress("packing layers", len(done), len(parts))
    return tuple(done)


def partition(tree: Tree, most: int = MAX_LAYERS) -> list[tuple[str, list[Entry]]]:
    """The tree's entries by layer, each with the folders above them; the smallest packages merged beyond ``most``."""
    folders = {entry.path: entry for entry in tree.entries if entry.kind == "dir"}
    above = {_parent(entry.path) for entry in tree.entries if entry.path != "/"}
    groups: dict[str, list[Entry]] = {}
    for entry in tree.entries:
        if entry.path != "/" and not (entry.kind == "dir" and entry.path in above):
            groups.setdefault(_group(entry.origin), []).append(entry)
    _merge(groups, most)
    return [(name, _with_parents(groups[name], folders)) for name in sorted(groups, key=_order)]


def make(name: str, entries: Sequence[Entry], store: Store, *, compression: Compression) -> Layer:
    """One layer of exactly ``entries``, from the store if it was made before."""
    key = digest([[_shape(entry) for entry in entries], layer.version(compression), _FORMAT])
    made = _recall(store, key)
    path = store.blob(made.blob) if made else None
    if made is None or path is None:
        with tempfile.SpooledTemporaryFile(max_size=8 << 20, dir=str(store.root)) as file:
            sink = layer.Sink(file, compression)
            _write(sink, entries, store)
            digests = sink.digests()
            file.seek(0)
            path = store.add_blob(_chunks(file), digests.blob, digests.size, where=f"layer {name}")
        made = _Made(digests.blob, digests.size, digests.diff)
        store.remember(_ROOM, key, canonical(made))
    descriptor = oci.Descriptor(_MEDIA_TYPES[compression], f"sha256:{made.blob}", made.size)
    return Layer(name, oci.Blob(descriptor, path), f"sha256:{made.diff}")


def member(entry: Entry) -> Member:
    """The entry as a tar's member; of files with the same content the caller may make hard links."""
    return Member(
        path=entry.path,
        kind=entry.kind,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        size=entry.size if entry.kind == "file" else 0,
        target=entry.target if entry.kind == "link" else "",
        mtime=0,
    )


def _recall(store: Store, key: str) -> _Made | None:
    data = store.recall(_ROOM, key)
    return decode(data, _Made, where=f"memo {key}") if data is not None else None


def _write(sink: layer.Sink, entries: Iterable[Entry], store: Store) -> None:
    buffered = io.BufferedWriter(sink, 1 << 20)
    writer = Writer(buffered)
    first: dict[tuple[str, int, int, int], str] = {}
    for entry in entries:
        if entry.kind != "file":
            writer.add(member(entry), ())
            continue
        same = (entry.digest, entry.mode, entry.uid, entry.gid)
        if entry.size >= _HARD_LINK and same in first:
            writer.add(member(entry)._replace(kind="hardlink", size=0, target=first[same]), ())
            continue
        first[same] = entry.path
        writer.add(member(entry), content(entry, store))
    writer.close()
    buffered.flush()
    buffered.detach()


def content(entry: Entry, store: Store) -> Iterator[bytes]:
    """A file's content, hashed as it passes: a damaged store must not reach a registry."""
    found = hashlib.sha256()
    size = 0
    with store.object(entry.digest).open("rb") as file:
        for chunk in _chunks(file):
            found.update(chunk)
            size += len(chunk)
            if size > entry.size:
                break
            yield chunk
    if (size, found.hexdigest()) != (entry.size, entry.digest):
        raise IntegrityError("its content isn't what was stored", where=entry.path, hint="run: oslet verify")


def _shape(entry: Entry) -> list[object]:
    """All of an entry that reaches a layer's bytes."""
    return [entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.digest, entry.target]


def _group(origin: str) -> str:
    return "made" if origin.startswith("made:") or not origin else origin


def _order(group: str) -> tuple[int, str]:
    if group == "made":
        return 2, ""
    if group in ("files", "image"):
        return 3, ""
    return (1 if group.startswith("wheel:") else 0), group


def _merge(groups: dict[str, list[Entry]], most: int) -> None:
    """Puts the smallest packages and wheels into one layer, so that ``most`` are left."""
    extra = len(groups) - most
    if extra <= 0:
        return
    movable = sorted(
        (name for name in groups if name not in ("made", "files", "image")),
        key=lambda n: (sum(e.size for e in groups[n]), n),
    )
    merged = [entry for name in movable[: extra + 1] for entry in groups.pop(name)]
    groups["and others"] = sorted(merged, key=lambda entry: entry.path)


def _with_parents(entries: list[Entry], folders: dict[str, Entry]) -> list[Entry]:
    whole = {entry.path: entry for entry in entries}
    for entry in entries:
        path = _parent(entry.path)
        while path != "/" and whole.get(path) is not folders.get(path, path):
            if path not in folders:
                raise BuildError(f"{entry.path} stands in {path}, which is no folder of the tree")
            whole[path] = folders[path]
            path = _parent(path)
    return [whole[path] for path in sorted(whole)]


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(1 << 20):
        yield chunk
