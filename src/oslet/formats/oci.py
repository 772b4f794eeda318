"""OCI images as values: descriptors, manifests, configs, indexes; and the reading of foreign ones within bounds.

The formats are those of the OCI image specification 1.1 (https://github.com/opencontainers/image-spec), whose docker
schema 2 twins differ in media types only. Names of fields are the specification's. Unknown fields are ignored when
read, as the specification asks; unset ones are not written.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct, field

from oslet.codec import decode
from oslet.errors import IntegrityError

T = TypeVar("T")

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = LAYER + "+gzip"
LAYER_ZSTD = LAYER + "+zstd"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"

MANIFESTS = (MANIFEST, DOCKER_MANIFEST)
INDEXES = (INDEX, DOCKER_INDEX)
LAYERS = {
    LAYER: "none",
    LAYER_GZIP: "gzip",
    LAYER_ZSTD: "zstd",
    DOCKER_LAYER: "none",
    DOCKER_LAYER_GZIP: "gzip",
}
"""How the bytes of a layer of each media type are compressed."""

MAX_DOCUMENT = 4 << 20
"""Bytes of a manifest, index or config: what registries and containers/image accept."""
MAX_LAYERS = 512
MAX_BLOB = 64 << 30

CONTRACT_LABEL = "dev.oslet.contract"
"""The label of an image's config that holds the whole ``Image`` as canonical JSON."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Platform(Struct, frozen=True, omit_defaults=True):
    architecture: str
    os: str
    variant: str = ""


class Descriptor(Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A blob by media type, digest (``sha256:`` and hex) and size in bytes."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = {}
    platform: Platform | None = None

    @property
    def sha256(self) -> str:
        return self.digest.removeprefix("sha256:")


class Manifest(Struct, frozen=True, omit_defaults=True, rename="camel"):
    config: Descriptor
    layers: list[Descriptor]
    schema_version: int = field(default_factory=lambda: 2)
    media_type: str = ""
    annotations: dict[str, str] = {}


class Index(Struct, frozen=True, omit_defaults=True, rename="camel"):
    manifests: list[Descriptor]
    schema_version: int = field(default_factory=lambda: 2)
    media_type: str = ""


class Empty(Struct, frozen=True):
    """The ``{}`` that stands for "present" in the config's maps."""


class Healthcheck(Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """Docker's extension: ``CMD`` and words, or ``CMD-SHELL`` and a line; ``NONE`` for no check."""

    test: list[str] = []


class Execution(Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The ``config`` of a config: how a container is started. ``StopSignal`` and the rest as docker reads them."""

    user: str = ""
    exposed_ports: dict[str, Empty] = {}
    env: list[str] = []
    entrypoint: list[str] = []
    cmd: list[str] = []
    volumes: dict[str, Empty] = {}
    working_dir: str = ""
    labels: dict[str, str] = {}
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None


class RootFS(Struct, frozen=True):
    type: str
    diff_ids: list[str]


class History(Struct, frozen=True, omit_defaults=True):
    created: str = ""
    created_by: str = ""
    comment: str = ""
    empty_layer: bool = False


class Config(Struct, frozen=True, omit_defaults=True):
    """An image's config. ``record`` is oslet's extra field, which every other reader must ignore (config.md)."""

    architecture: str
    os: str
    rootfs: RootFS
    config: Execution | None = None
    created: str = ""
    history: list[History] = []
    record: str = field(name="dev.oslet.record", default="")


class Blob(NamedTuple):
    """A blob and the file that holds its bytes."""

    descriptor: Descriptor
    path: Path


class Parcel(NamedTuple):
    """A whole image, ready to be written or pushed: the manifest's bytes, and the blobs it names, config first."""

    manifest: bytes
    descriptor: Descriptor
    blobs: tuple[Blob, ...]


def encode(document: Struct) -> bytes:
    """A document's one spelling: JSON, fields in declared order, maps by key."""
    return msgspec.json.encode(document, order="deterministic")


def read_document(data: bytes, shape: type[T], *, where: str) -> T:
    """A foreign document of at most ``MAX_DOCUMENT`` bytes; IntegrityError if it is larger or is none."""
    if len(data) > MAX_DOCUMENT:
        raise IntegrityError(f"larger than the {MAX_DOCUMENT} bytes a manifest or config may have", where=where)
    try:
        return msgspec.convert(_without_nulls(decode(data, dict, where=where)), shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise IntegrityError(f"not a {shape.__name__}: {error}", where=where) from None


def _without_nulls(value: Any) -> Any:
    """Go's writers say null for what they leave unset."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def read_manifest(data: bytes, *, where: str) -> Manifest:
    """A foreign manifest, each of its descriptors checked; IntegrityError says what is wrong with it."""
    manifest = read_document(data, Manifest, where=where)
    if manifest.schema_version != 2:
        raise IntegrityError(f"a manifest of schema {manifest.schema_version}; only 2 is read", where=where)
    if len(manifest.layers) > MAX_LAYERS:
        raise IntegrityError(f"{len(manifest.layers)} layers; at most {MAX_LAYERS} are read", where=where)
    for descriptor in (manifest.config, *manifest.layers):
        check_descriptor(descriptor, where=where)
    if manifest.config.media_type not in (CONFIG, DOCKER_CONFIG):
        raise IntegrityError(f"not a container image: its config is {manifest.config.media_type!r}", where=where)
    if manifest.config.size > MAX_DOCUMENT:
        raise IntegrityError(f"a config of {manifest.config.size} bytes; at most {MAX_DOCUMENT} are read", where=where)
    for layer in manifest.layers:
        if layer.media_type not in LAYERS:
            raise IntegrityError(f"a layer of unknown media type {layer.media_type!r}", where=where)
    return manifest


def read_index(data: bytes, *, where: str) -> Index:
    """A foreign index, each of its descriptors checked."""
    index = read_document(data, Index, where=where)
    for descriptor in index.manifests:
        check_descriptor(descriptor, where=where)
    return index


def read_config(data: bytes, manifest: Manifest, *, where: str) -> Config:
    """A foreign config that belongs to ``manifest``: as many diff ids as layers, each a sha256."""
    config = read_document(data, Config, where=where)
    ids = config.rootfs.diff_ids
    if len(ids) != len(manifest.layers):
        raise IntegrityError(f"{len(ids)} diff ids for {len(manifest.layers)} layers", where=where)
    for text in ids:
        check_digest(text, where=where)
    return config


def check_descriptor(descriptor: Descriptor, *, where: str) -> None:
    """IntegrityError unless the digest is a sha256 and the size is within bounds."""
    check_digest(descriptor.digest, where=where)
    if not 0 <= descriptor.size <= MAX_BLOB:
        raise IntegrityError(f"a blob of {descriptor.size} bytes; at most {MAX_BLOB} are read", where=where)


def check_digest(text: str, *, where: str) -> None:
    """IntegrityError unless ``text`` is ``sha256:`` and 64 hex digits."""
    if not _DIGEST.fullmatch(text):
        raise IntegrityError(f"{text[:80]!r} is not a sha256 digest", where=where, hint="only sha256 is read")


def choose(index: Index, architecture: str, *, where: str) -> Descriptor:
    """The index's manifest for Linux on ``architecture``; IntegrityError that lists what there is instead."""
    images = [d for d in index.manifests if d.media_type in MANIFESTS]
    for descriptor in images:
        platform = descriptor.platform
        if platform and (platform.os, platform.architecture) == ("linux", architecture):
            return descriptor
    if len(images) == 1 and images[0].platform is None:
        return images[0]
    there = sorted({f"{d.platform.os}/{d.platform.architecture}" for d in images if d.platform}) or ["nothing"]
    raise IntegrityError(f"no image for linux/{architecture}", where=where, hint=f"it holds {', '.join(there[:10])}")
