"""The lock: exactly which packages, by digest, and which request brought each."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Arch: TypeAlias = Literal["amd64", "arm64"]


class Package(Struct, frozen=True, forbid_unknown_fields=True):
    """One locked Debian package.

    ``archive`` is empty for the source's main archive, else the name of the one beside it (``security``);
    ``path`` is the file's path within that archive (no host name); ``size`` is in bytes.
    ``by`` is the package whose relation brought this one, or empty when the declaration names it, and
    ``request`` is that relation or request as it was written.
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


class Lock(Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly which packages, by digest, and which request brought each. Nothing about files yet.

    ``wants`` is the digest of the part of the declaration that was resolved: a lock whose ``wants`` differs from
    the declaration's is stale. ``python`` is the image's Python version (``3.13``), empty without one.
    """

    wants: str
    suite: str
    arch: Arch
    python: str = ""
    packages: tuple[Package, ...] = ()
    wheels: tuple[Wheel, ...] = ()

    @property
    def items(self) -> tuple[Package | Wheel, ...]:
        """Packages, then wheels."""
        return (*self.packages, *self.wheels)

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(item.size for item in self.items)
