"""OCI: documents, layers, and whole images that were pulled."""

from __future__ import annotations

import base64
import hashlib
import io
import lzma
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from fuzz import containers
from fuzz.choices import Choices
from fuzz.judge import Reader, promise
from fuzz.readers.binaries import members, tar_of, tar_seeds
from oslet.archive.admit import admit
from oslet.archive.registry import Pulled
from oslet.build.oci import parcel
from oslet.codec import canonical, decode, digest
from oslet.errors import IntegrityError, OsletError
from oslet.formats import oci
from oslet.formats.layer import Unpacked
from oslet.formats.record import Record, unpack
from oslet.model.image import Image
from oslet.model.lock import Lock
from oslet.model.oslet import Policy, Start
from oslet.model.plan import Plan
from oslet.model.tree import Entry, Tree
from oslet.store import Store


class Exported(NamedTuple):
    """An image as oslet exports it: its documents, the record's JSON, and its layers' tars."""

    manifest: bytes
    config: bytes
    contract: bytes
    record: bytes
    layers: tuple[bytes, ...]


@cache
def exported() -> Exported:
    """A small image of three layers; made once, outside what is watched."""
    with tempfile.TemporaryDirectory() as name:
        store = Store(Path(name))
        entries = [
            Entry("/usr", "dir", 0o755, origin="made:x", reason="above a file"),
            Entry("/usr/bin", "dir", 0o755, origin="made:x", reason="above a file"),
        ]
        for path, data, origin in (("/usr/a", b"one", "a"), ("/usr/b", b"one", "a"), ("/usr/bin/c", b"two" * 300, "c")):
            entries.append(Entry(path, "file", 0o755, 0, 0, len(data), store.put(data, 0o755), "", origin, "wanted"))
        entries.append(Entry("/usr/l", "link", 0o777, target="a", origin="c", reason="wanted"))
        tree = Tree(tuple(sorted(entries, key=lambda e: e.path)))
        lock, start = Lock("", "trixie", "amd64"), Start(command=("/usr/a",))
        plan = Plan("app", "amd64", "trixie", (), Policy(), start, (), (), 1)
        names: Any = {"plan": store.save(plan), "tree": store.save(tree), "lock": store.save(lock)}
        image = Image(
            name="app", arch="amd64", start=start, params=(), rendered=(), files=tree.files, size=tree.size,
            uid=0, gid=0, **names,
        )  # fmt: skip
        made = parcel(image, store.seal(image), tree, store)
        config = made.blobs[0].path.read_bytes()
        whole = oci.read_config(config, oci.read_manifest(made.manifest, where=""), where="")
        assert whole.config is not None
        return Exported(
            made.manifest,
            config,
            whole.config.labels[oci.CONTRACT_LABEL].encode(),
            lzma.decompress(base64.b64decode(whole.record)),
            tuple(_plain(blob.path.read_bytes()) for blob in made.blobs[1:]),
        )


def _plain(data: bytes) -> bytes:
    import gzip

    return gzip.decompress(data)


_INDEX = oci.encode(
    oci.Index(
        [
            oci.Descriptor(oci.MANIFEST, "sha256:" + "0" * 64, 7, {}, oci.Platform("amd64", "linux")),
            oci.Descriptor(oci.MANIFEST, "sha256:" + "1" * 64, 7, {"a": "b"}, oci.Platform("arm", "linux", "v7")),
        ],
        media_type=oci.INDEX,
    )
)


def _document_seeds() -> list[bytes]:
    image = exported()
    return [b"\0" + image.manifest, b"\1" + _INDEX, b"\2" + image.config, b"\3" + image.record, b"\4" + image.contract]


def _document(data: bytes, room: Path) -> object:
    kind, body = data[:1], data[1:]
    if kind == b"\1":
        index = oci.read_index(body, where="fuzzed")
        return index, oci.choose(index, "amd64", where="fuzzed")
    if kind == b"\2":
        return oci.read_config(body, oci.read_manifest(exported().manifest, where=""), where="fuzzed")
    if kind == b"\3":
        return unpack(base64.b64encode(lzma.compress(body, preset=0)).decode(), where="fuzzed")
    if kind == b"\4":
        return decode(body, Image, where="fuzzed")
    if kind == b"\5":
        return unpack(body.decode("utf-8", "replace"), where="fuzzed")
    manifest = oci.read_manifest(body, where="fuzzed")
    promise(decode(oci.encode(manifest), oci.Manifest) == manifest, "a manifest that isn't the same when written again")
    return manifest


_WAYS = (("none", ""), ("gzip", ".gz"), ("zstd", ".zst"))


def _layer(data: bytes, room: Path) -> object:
    choices = Choices(data)
    way, suffix = choices.pick(_WAYS)
    plain = tar_of(choices.take(len(data) - 1 - choices.byte() % 8))
    packed = containers.packed(plain, suffix, choices)
    stream = Unpacked(io.BytesIO(packed), way, limit=1 << 20, where="fuzzed")
    blob = bytearray()
    while piece := stream.read(1 << 16):
        blob += piece
    promise(len(blob) <= 1 << 20, "a layer that unpacks to more than it may")
    whole = Unpacked(io.BytesIO(packed), way, limit=1 << 20, where="fuzzed")
    found = members(bytes(blob))
    whole.finish(hashlib.sha256(blob).hexdigest())
    return found


def _layer_seeds() -> list[bytes]:
    return [bytes([way, 0]) + seed + bytes(8) for way in range(3) for seed in tar_seeds()]


_LYING = ("record", "contract", "config", "manifest", "tar", "tar", "recipe")


def _admit_seeds() -> list[bytes]:
    image = exported()
    parts = (image.record, image.contract, image.config, image.manifest, image.layers[0], image.layers[1])
    return [*(bytes([n, n]) + part for n, part in enumerate(parts)), b"\6\0\0\0\5\0\0"]


def _admit(data: bytes, room: Path) -> object:
    choices = Choices(data)
    lying, which = choices.pick(_LYING), choices.byte()
    body = choices.rest()
    image = exported()
    layers = list(image.layers)
    if lying in ("tar", "recipe"):
        at = which % len(layers)
        layers[at] = containers.resummed(body) if lying == "tar" else containers.tar(Choices(body))
    record, contract = image.record, image.contract
    if lying == "record":
        record, contract = body, _agreeing(body, contract)
    elif lying == "contract":
        contract = body
    documents = {"config": image.config, "manifest": image.manifest, lying: body}
    manifest = oci.read_manifest(documents["manifest"], where="fuzzed")
    config = oci.read_config(documents["config"], manifest, where="fuzzed")
    if lying != "config" and config.config is not None:
        labels = {**config.config.labels, oci.CONTRACT_LABEL: contract.decode("utf-8", "replace")}
        packed = base64.b64encode(lzma.compress(record, preset=0)).decode()
        diffs = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
        config = replace(
            config, config=replace(config.config, labels=labels), record=packed, rootfs=oci.RootFS("layers", diffs)
        )
    blobs = []
    for number, layer in enumerate(layers):
        path = room / f"layer{number}"
        path.write_bytes(layer)
        described = oci.Descriptor(oci.LAYER, f"sha256:{hashlib.sha256(layer).hexdigest()}", len(layer))
        blobs.append(oci.Blob(described, path))
    if len(config.rootfs.diff_ids) > len(blobs):
        raise IntegrityError("fewer layers than the harness has")
    with closing(Store(room / "store")) as store:
        name, value = admit(Pulled("sha256:0", manifest, config, tuple(blobs)), store, where="fuzzed")
        promise(store.find(name)[1] == value and not store.verify(), "an admitted image that the store finds faulty")
        store.rootfs(value)
        return name


def _agreeing(record: bytes, contract: bytes) -> bytes:
    """The contract, its digests made those of a lying record: who forges one forges the other."""
    try:
        told = decode(record, Record)
        image = decode(contract, Image)
    except OsletError:
        return contract
    known = {e.path: e for e in _true_tree().entries}
    entries = tuple(
        replace(e, digest=known[e.path].digest, size=known[e.path].size) if e.path in known else e
        for e in told.tree.entries
    )
    tree = replace(told.tree, entries=entries)
    try:
        names = {"tree": digest(tree), "lock": digest(told.lock), "plan": digest(told.plan)}
    except (UnicodeEncodeError, msgspec.MsgspecError):
        return contract
    return canonical(replace(image, **names, files=tree.files, size=tree.size))


@cache
def _true_tree() -> Tree:
    told = decode(exported().record, Record).tree
    sizes = {"/usr/a": b"one", "/usr/b": b"one", "/usr/bin/c": b"two" * 300}
    return replace(
        told,
        entries=tuple(
            replace(e, digest=hashlib.sha256(sizes[e.path]).hexdigest(), size=len(sizes[e.path]))
            if e.path in sizes
            else e
            for e in told.entries
        ),
    )


_WORDS = (
    *(
        oci.INDEX,
        oci.MANIFEST,
        oci.CONFIG,
        *oci.LAYERS,
        "sha256:" + "0" * 64,
        "mediaType",
        "digest",
        "size",
        "platform",
    ),
    *("manifests", "layers", "config", "rootfs", "diff_ids", "architecture", "linux", "dev.oslet.record", "[[[[", "{}"),
    *("null", "1e999", "-1", "9223372036854775808", "\\ud800", "\\u0000", "../", "/.wh.a"),
)
_BYTES = tuple(word.encode() for word in _WORDS)
READERS = (
    Reader("oci", "formats/oci.py, formats/record.py", _document_seeds, _document, _BYTES),
    Reader("layer", "formats/layer.py, with formats/tar.py", _layer_seeds, _layer, containers.NAMES),
    Reader("admit", "archive/admit.py: whole images", _admit_seeds, _admit, (*_BYTES, *containers.NAMES)),
)
