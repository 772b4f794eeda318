"""The plan: what a build will do. Its digest names the result before it exists."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from oslet.model.lock import Arch
from oslet.model.oslet import Policy, Start
from oslet.model.param import Param


class Unpack(Struct, frozen=True, tag="unpack"):
    """Lay down one Debian package."""

    package: str
    version: str
    sha256: str


class Install(Struct, frozen=True, tag="install"):
    """Lay down one wheel as an installer would, for this Python (``3.13``)."""

    wheel: str
    version: str
    sha256: str
    python: str


class Take(Struct, frozen=True, tag="take"):
    """Take the files of an existing image, by its manifest's digest."""

    manifest: str


class Place(Struct, frozen=True, tag="place"):
    """Put the declaration's own content at ``path``: ``digest`` covers every byte, name and mode of it."""

    path: str
    digest: str


class Synthesise(Struct, frozen=True, tag="synthesise"):
    """Make what maintainer scripts and triggers would have made: one named step of ``build/``."""

    step: str


Step: TypeAlias = Unpack | Install | Take | Place | Synthesise


class Plan(Struct, frozen=True):
    """What a build will do.

    ``rendered`` are the files that only instances have, by path and digest; ``rules`` is the version of oslet's own
    build rules, so that a change of them shows; ``named`` are the packages and wheels that the declaration names, of
    which more stays than of what they need.
    """

    name: str
    arch: Arch
    suite: str
    steps: tuple[Step, ...]
    policy: Policy
    start: Start
    params: tuple[Param, ...]
    rendered: tuple[tuple[str, str], ...]
    rules: int
    named: tuple[str, ...] = ()
