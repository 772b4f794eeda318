"""The image: sealed content plus its start contract."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from oslet.model.lock import Arch
from oslet.model.oslet import File, Start
from oslet.model.param import Param


class Image(Struct, frozen=True):
    """Sealed content plus its start contract. Its digest is the digest of this value.

    ``tree`` is the digest of the sealed ``Tree``; ``plan`` of the plan that made it; ``rendered`` are the files that
    exist only in instances (templates and secrets); ``size`` is in bytes, uncompressed; ``uid`` and ``gid`` are the
    service user's in the image.
    """

    name: str
    arch: Arch
    plan: str
    tree: str
    lock: str
    start: Start
    params: tuple[Param, ...]
    rendered: tuple[File, ...]
    files: int
    size: int
    uid: int
    gid: int


class Built(NamedTuple):
    """An image with its digest, as a build or a look-up gives it."""

    digest: str
    image: Image
