"""Images on disk, taken into the store: OCI layouts (folder or tar), and what ``docker save`` wrote, now or ever.

Docker's older archives (``manifest.json``, a tar for each layer, https://github.com/moby/docker-image-spec) have no
manifest of OCI's: one is made of the config and the layers as plain tars, so that the same image has the same digest
however it was packed.
"""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from oslet.archive.registry import Pulled
from oslet.codec import decode
from oslet.errors import IntegrityError, ResolveError
from oslet.formats import oci
from oslet.formats.layer import Unpacked, most, sniff
from oslet.formats.tar import Limits, Member, read
from oslet.store import Store

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined,unused-ignore]

Taker: TypeAlias = Callable[[Iterator[bytes]], object]
"""Reads one member's content, once."""

MAX_MEMBERS = 20_000
MAX_DOCUMENTS = 64 << 20
"""Members of an archive of layers, and bytes of all its small members, which may be documents."""
MAX_NESTED = 3
_CHUNK = 1 << 20
_NAMES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")


class Saved(Struct, frozen=True, rename="pascal"):
    """One image of ``manifest.json``: the member that is its config, its names, and its layers' members."""

    config: str
    layers: list[str]
    repo_tags: list[str] | None = None


class Shelf(Protocol):
    """Where an image's parts stand by path: a folder or a tar."""

    where: str

    def document(self, path: str) -> bytes | None:
        """A small part whole, or None when there is none."""
        ...

    def deliver(self, wanted: Mapping[str, Taker]) -> None:
        """Hand each wanted part to its taker. IntegrityError names one that is missing."""
        ...


def load(path: Path, name: str, store: Store, *, architecture: str) -> Pulled:
    """The image at ``path`` (the one called ``name``, if it isn't the only one), each byte of it verified.

    Of an index, the image for Linux on ``architecture``. ResolveError says which images there are; IntegrityError.
    """
    shelf: Shelf = _Folder(path) if path.is_dir() else _Tar(path)
    index, saved = shelf.document("/index.json"), shelf.document("/manifest.json")
    if index is not None and shelf.document("/oci-layout") is not None:
        descriptor = _pick(oci.read_index(index, where=shelf.where), name, shelf, architecture)
        return _from_layout(descriptor, shelf, store)
    if saved is not None:
        return _from_docker(_pick_saved(saved, name, shelf.where), shelf, store)
    raise ResolveError(
        "neither an OCI layout nor what `docker save` wrote",
        where=shelf.where,
        hint="docker save NAME -o FILE, or skopeo copy … oci:FOLDER, makes one",
    )


def _from_layout(descriptor: oci.Descriptor, shelf: Shelf, store: Store) -> Pulled:
    where = shelf.where
    data = _verified(shelf, descriptor)
    manifest = oci.read_manifest(data, where=where)
    config = oci.read_config(_verified(shelf, manifest.config), manifest, where=where)

    def taker(layer: oci.Descriptor) -> Taker:
        place = f"{where}: {layer.digest}"
        return lambda chunks: store.add_blob(chunks, layer.sha256, layer.size, where=place)

    shelf.deliver({_blob(d): taker(d) for d in manifest.layers if store.blob(d.sha256) is None})
    return Pulled(descriptor.digest, manifest, config, tuple(_kept(d, store, where) for d in manifest.layers))


def _from_docker(saved: Saved, shelf: Shelf, store: Store) -> Pulled:
    where = shelf.where
    raw = shelf.document(_member(saved.config))
    if raw is None:
        raise IntegrityError("the archive lacks the image's config", where=f"{where}: {saved.config[:200]}")
    draft = oci.read_document(raw, oci.Config, where=where)
    diffs = draft.rootfs.diff_ids
    if len(diffs) != len(saved.layers) or len(diffs) > oci.MAX_LAYERS:
        raise IntegrityError(f"{len(diffs)} diff ids for {len(saved.layers)} layers", where=where)
    wanted: dict[str, Taker] = {}
    for diff, path in zip(diffs, saved.layers):
        oci.check_digest(diff, where=where)
        if store.blob(diff.removeprefix("sha256:")) is None:
            wanted.setdefault(_member(path), _plain(diff, store, f"{where}: {path[:200]}"))
    shelf.deliver(wanted)
    layers = []
    for diff in diffs:
        found = store.blob(diff.removeprefix("sha256:"))
        if found is None:  # two layers of one member, which can't have two digests
            raise IntegrityError("no layer of the archive has this content", where=f"{where}: {diff}")
        layers.append(oci.Descriptor(oci.DOCKER_LAYER, diff, found.stat().st_size))
    config = oci.Descriptor(oci.DOCKER_CONFIG, f"sha256:{hashlib.sha256(raw).hexdigest()}", len(raw))
    data = oci.encode(oci.Manifest(config, layers, media_type=oci.DOCKER_MANIFEST))
    manifest = oci.read_manifest(data, where=where)
    read_config = oci.read_config(raw, manifest, where=where)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return Pulled(digest, manifest, read_config, tuple(_kept(d, store, where) for d in layers))


def _plain(diff: str, store: Store, where: str) -> Taker:
    """Keeps a layer as the plain tar that the config's diff id is of, whatever it is compressed with."""

    def take(chunks: Iterator[bytes]) -> None:
        stream = Pieces(chunks)
        tar = Unpacked(stream, sniff(stream.peek(4)), limit=oci.MAX_BLOB, where=where)  # type: ignore[arg-type]
        content = iter(lambda: tar.read(_CHUNK), b"")
        store.add_blob(content, diff.removeprefix("sha256:"), where=where)

    return take


def _pick(index: oci.Index, name: str, shelf: Shelf, architecture: str, depth: int = 0) -> oci.Descriptor:
    """The manifest that ``name`` means, or the only one; through nested indexes."""
    images = [d for d in index.manifests if d.media_type in (*oci.MANIFESTS, *oci.INDEXES) and not _attests(d)]
    named = [d for d in images if not name or d.digest == name or any(_is(name, each) for each in _names(d))]
    platforms = bool(named) and all(d.platform for d in named)
    if not named or (len({d.digest for d in named}) > 1 and not platforms):
        raise _which([next(_names(d), d.digest) for d in named or images], shelf.where, "" if named else name)
    images = named if platforms else named[:1]
    chosen = images[0] if len(images) == 1 else oci.choose(oci.Index(images), architecture, where=shelf.where)
    if chosen.media_type not in oci.INDEXES:
        return chosen
    if depth >= MAX_NESTED:
        raise IntegrityError("indexes within indexes", where=shelf.where)
    inner = oci.read_index(_verified(shelf, chosen), where=shelf.where)
    if len(inner.manifests) > 1:
        return oci.choose(inner, architecture, where=shelf.where)
    return _pick(inner, "", shelf, architecture, depth + 1)


def _pick_saved(data: bytes, name: str, where: str) -> Saved:
    if len(data) > oci.MAX_DOCUMENT:
        raise IntegrityError(f"manifest.json is over {oci.MAX_DOCUMENT} bytes", where=where)
    images = decode(data, list[Saved], where=where)
    named = [i for i in images if not name or any(_is(name, tag) for tag in i.repo_tags or ())]
    if len(named) != 1:
        names = [tag for image in named or images for tag in image.repo_tags or (image.config,)]
        raise _which(names, where, "" if named else name)
    return named[0]


def _which(names: Sequence[str], where: str, name: str) -> ResolveError:
    """None or several are called so: the error that lists what there is."""
    what = f"no image is called {name!r} there" if name else f"holds {len(names)} images"
    shown = ", ".join(each[:80] for each in names[:8])
    return ResolveError(what, where=where, hint=f"write PATH#NAME; there are: {shown}" if names else "")


def _names(descriptor: oci.Descriptor) -> Iterator[str]:
    return (descriptor.annotations[key] for key in _NAMES if key in descriptor.annotations)


def _is(name: str, tag: str) -> bool:
    """Whether ``name`` is the tag, or what of it is left without its host, its folders or its last part."""
    last = tag.rpartition("/")[2]
    return bool(tag) and name in (tag, last, tag.rpartition(":")[0], last.rpartition(":")[0])


def _attests(descriptor: oci.Descriptor) -> bool:
    """Whether it is buildkit's statement about another manifest, which stands among images."""
    return "vnd.docker.reference.type" in descriptor.annotations


def _kept(descriptor: oci.Descriptor, store: Store, where: str) -> oci.Blob:
    path = store.blob(descriptor.sha256)
    if path is None:
        raise IntegrityError("the layer is missing", where=f"{where}: {descriptor.digest}")
    return oci.Blob(descriptor, path)


def _verified(shelf: Shelf, descriptor: oci.Descriptor) -> bytes:
    data = shelf.document(_blob(descriptor))
    if data is None:
        raise IntegrityError("the layout lacks this blob", where=f"{shelf.where}: {descriptor.digest}")
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != descriptor.digest:
        raise IntegrityError("the blob is not what its name says", where=f"{shelf.where}: {descriptor.digest}")
    return data


def _blob(descriptor: oci.Descriptor) -> str:
    return f"/blobs/sha256/{descriptor.sha256}"


def _member(name: str) -> str:
    return posixpath.normpath(f"/{name}")


class Pieces(io.RawIOBase):
    """Chunks as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        super().__init__()
        self._chunks = chunks
        self._buffer = b""

    def readable(self) -> bool:
        return True

    def peek(self, size: int) -> bytes:
        while len(self._buffer) < size and (more := next(self._chunks, b"")):
            self._buffer += more
        return self._buffer[:size]

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        if not self._buffer:
            self._buffer = next(self._chunks, b"")
        data, self._buffer = self._buffer[: len(view)], self._buffer[len(view) :]
        view[: len(data)] = data
        return len(data)


class _Folder:
    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path

    def document(self, path: str) -> bytes | None:
        try:
            with self._open(path) as file:
                return file.read(oci.MAX_DOCUMENT + 1)
        except FileNotFoundError:
            return None

    def deliver(self, wanted: Mapping[str, Taker]) -> None:
        for path, take in wanted.items():
            try:
                with self._open(path) as file:
                    take(iter(lambda file=file: file.read(_CHUNK), b""))  # type: ignore[misc]
            except FileNotFoundError:
                raise IntegrityError("the layout lacks this blob", where=f"{self.where}: {path}") from None

    @contextmanager
    def _open(self, path: str) -> Iterator[IO[bytes]]:
        """A regular file of the folder, nothing that a link leads to and nothing that would never end."""
        name = self._path / path.lstrip("/")
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise IntegrityError(f"can't be read: {error.strerror}", where=str(name)) from None
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise IntegrityError("not a regular file", where=str(name))
            yield file


class _Member(NamedTuple):
    size: int
    target: str
    data: bytes | None


class _Tar:
    """A tar, read once for what it holds and its documents, and once more for layers."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path
        self._members: dict[str, _Member] = {}
        left = MAX_DOCUMENTS
        for member, chunks in self._read():
            data = None
            if member.kind == "file" and member.size <= min(oci.MAX_DOCUMENT, left):
                data = b"".join(chunks)
                left -= len(data)
            self._members[member.path] = _Member(member.size, _target(member), data)

    def document(self, path: str) -> bytes | None:
        found = self._members.get(self._real(path))
        return found.data if found else None

    def deliver(self, wanted: Mapping[str, Taker]) -> None:
        real: dict[str, list[Taker]] = {}
        for path, take in wanted.items():
            real.setdefault(self._real(path), []).append(take)
        if missing := next((path for path in real if path not in self._members), ""):
            raise IntegrityError("the archive lacks this part", where=f"{self.where}: {missing}")
        for member, chunks in self._read() if real else ():
            if member.kind == "file" and (takers := real.pop(member.path, None)):
                takers[0](chunks)  # equal parts have one digest: the first taker keeps it for all
        if real:
            raise IntegrityError("this part of the archive is no file", where=f"{self.where}: {next(iter(real))}")

    def _real(self, path: str) -> str:
        """Where a link between layers of an old archive leads."""
        for _ in range(8):
            found = self._members.get(path)
            if found is None or not found.target:
                return path
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), found.target))
        raise IntegrityError("links go in circles", where=f"{self.where}: {path}")

    def _read(self) -> Iterator[tuple[Member, Iterator[bytes]]]:
        try:
            file = self._path.open("rb")
        except OSError as error:
            raise ResolveError(f"can't read it: {error.strerror}", where=self.where) from None
        with file:
            compression = sniff(file.read(4))
            file.seek(0)
            limits = Limits(members=MAX_MEMBERS, size=oci.MAX_BLOB)
            if compression == "none":
                yield from read(file, where=self.where, limits=limits)
                return
            limit = most(os.fstat(file.fileno()).st_size)
            yield from read(Unpacked(file, compression, limit=limit, where=self.where), where=self.where, limits=limits)


def _target(member: Member) -> str:
    return member.target if member.kind in ("link", "hardlink") else ""
