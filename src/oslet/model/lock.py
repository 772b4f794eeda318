"""The lock: exactly which packages, by digest, and which request brought each."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from oslet.model.oslet import Start

Arch: TypeAlias = Literal["amd64", "arm64"]

IMAGE = "(image)"
"""The ``by`` of a package or distribution that nobody named: the image that the declaration starts from has it."""


class Package(Struct, frozen=True, forbid_unknown_fields=True):
    """One locked Debian package.

    ``archive`` is empty for the source's main archive, else the name of the one beside it (``security``);
    ``path`` is the file's path within that archive (no host name); ``size`` is in bytes.
    ``by`` is the package whose relation brought this one, or empty when the declaration names it, and
    ``request`` is that relation or request as it was written.
    A package that came in an image has the path of dpkg's record of it there, the size of its files there, and the
    digest of what it holds there.
    """

    name: str
    version: str
    arch: str
    archive: str
    path: str
    size: int
    sha256: str
    by: str
    request: str


class Wheel(Struct, frozen=True, forbid_unknown_fields=True):
    """One locked Python distribution: its wheel's file name, size in bytes, and what brought it."""

    name: str
    version: str
    file: str
    size: int
    sha256: str
    by: str
    request: str


class Layer(Struct, frozen=True, forbid_unknown_fields=True):
    """One layer of an image: the digest (``sha256:`` and hex) and size in bytes of its blob."""

    digest: str
    size: int


class Foreign(Struct, frozen=True, forbid_unknown_fields=True):
    """The image that a declaration starts from: its manifest's digest, its layers, and how it says it is started."""

    manifest: str
    layers: tuple[Layer, ...]
    start: Start = Start()

    @property
    def size(self) -> int:
        """Bytes of the layers as they are stored."""
        return sum(layer.size for layer in self.layers)


class Lock(Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly which packages, by digest, and which request brought each. Nothing about files yet.

    ``wants`` is the digest of the part of the declaration that was resolved: a lock whose ``wants`` differs from
    the declaration's is stale. ``python`` is the image's Python version (``3.13``), empty without one.
    ``image`` is what packages and wheels were found in, when the source is an image; ``suite`` is what that image says
    it is then, or empty.
    """

    wants: str
    suite: str
    arch: Arch
    python: str = ""
    packages: tuple[Package, ...] = ()
    wheels: tuple[Wheel, ...] = ()
    image: Foreign | None = None

    @property
    def items(self) -> tuple[Package | Wheel, ...]:
        """Packages, then wheels."""
        return (*self.packages, *self.wheels)

    @property
    def size(self) -> int:
        """Bytes to download."""
        return self.image.size if self.image else sum(item.size for item in self.items)
