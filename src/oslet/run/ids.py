"""Ids: which of the machine's user and group ids an instance's processes really have.

Three ways, after ``user_namespaces(7)``:

- root maps the instance's 0..65535 to a high range that nobody else has, so that root inside is nobody outside;
- an ordinary user with subordinate ids (``subuid(5)``, ``newuidmap(1)``) is root inside; the rest are the range's;
- an ordinary user without them is the image's one service user inside, and no other id exists there.
"""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from oslet.errors import RunError
from oslet.run.tools import found

COUNT = 65536
"""How many ids an instance has where it has a range."""

ROOT_BASE = 29_000 * COUNT
"""The range root uses where ``/etc/subuid`` gives root none: within what systemd's documentation of uids
(UIDS-GIDS.md) lists as unused, 1879048192..2147483647."""


class Extent(NamedTuple):
    """``length`` ids: from ``inside`` on, as seen in the inner namespace, are ``outside`` on of the outer one."""

    inside: int
    outside: int
    length: int


class Mapping(NamedTuple):
    """How ids inside become ids outside.

    ``outer_*`` map the namespace that encloses the instance to the machine (empty for root, who needs none);
    ``inner_*`` map the instance to that one, and are what the OCI runtime is told.
    """

    outer_uids: tuple[Extent, ...]
    outer_gids: tuple[Extent, ...]
    inner_uids: tuple[Extent, ...]
    inner_gids: tuple[Extent, ...]

    @property
    def rootless(self) -> bool:
        return bool(self.outer_uids)

    @property
    def single(self) -> bool:
        """Whether one id is all there is."""
        return sum(e.length for e in self.inner_uids) == 1


def has_uid(mapping: Mapping, uid: int) -> bool:
    return through(mapping.inner_uids, uid) is not None


def has_gid(mapping: Mapping, gid: int) -> bool:
    return through(mapping.inner_gids, gid) is not None


def through(extents: tuple[Extent, ...], number: int) -> int | None:
    """The id outside that ``number`` inside stands for, or None where it stands for nobody."""
    for extent in extents:
        if extent.inside <= number < extent.inside + extent.length:
            return extent.outside + number - extent.inside
    return None


def back(extents: tuple[Extent, ...], number: int) -> int | None:
    """The id inside that stands for ``number`` outside."""
    return through(tuple(Extent(e.outside, e.inside, e.length) for e in extents), number)


@cache
def store_owner() -> int | None:
    """Who plays an instance's root on disk: the base of root's range; None (the caller) for an ordinary user."""
    return _root_base() if os.geteuid() == 0 else None


def _root_base() -> int:
    given = _subordinate(Path("/etc/subuid"), 0)
    return given.outside if given and given.length >= COUNT else ROOT_BASE


def check() -> None:
    """RunError for a root in whose user namespace (a container's, most often) there are no ids for instances."""
    if os.geteuid() == 0 and not _exist(_root_base()):
        raise RunError(
            f"this root's user namespace (a container's?) lacks the ids from {_root_base()} on, for instances to have",
            where="/proc/self/uid_map",
            hint="be an ordinary user in it, or name a range that it has in /etc/subuid: root:FIRST:65536",
        )


def _exist(first: int) -> bool:
    """Whether a whole range of ids exists in this user namespace: ``user_namespaces(7)``, uid_map."""
    maps = (line.split() for line in Path("/proc/self/uid_map").read_text().splitlines())
    return any(int(low) <= first and first + COUNT <= int(low) + int(length) for low, _, length in maps)


class Outer(NamedTuple):
    """The ids of the namespace that encloses a user's instances; empty for root, who needs none."""

    uids: tuple[Extent, ...] = ()
    gids: tuple[Extent, ...] = ()


def outer() -> Outer:
    """The caller's: itself as root, and its subordinate ids where it has some of both kinds."""
    if os.geteuid() == 0:
        return Outer()
    me, group = Extent(0, os.geteuid(), 1), Extent(0, os.getegid(), 1)
    uids, gids = _range("uid"), _range("gid")
    return Outer((me, uids), (group, gids)) if uids and gids else Outer((me,), (group,))


def mapping(uid: int, gid: int, outside: Outer | None = None) -> Mapping:
    """The mapping for an instance whose service user is ``uid``:``gid``, below the caller's ids or those ``outside``;
    RunError if that user can't be had."""
    around = outer() if outside is None else outside
    if not around.uids:
        whole = (Extent(0, _root_base(), COUNT),)
        return Mapping((), (), whole, whole)
    if len(around.uids) == 1:
        return Mapping(*around, (Extent(uid, 0, 1),), (Extent(gid, 0, 1),))
    for word, number, extent in (("uid", uid, around.uids[1]), ("gid", gid, around.gids[1])):
        if number > extent.length:
            raise RunError(
                f"the service user's {word} {number} lies outside your {extent.length} subordinate ids",
                where=f"/etc/sub{word}",
                hint=f"ask root for a longer range: usermod --add-sub{word}s",
            )
    return Mapping(*around, *(_inner(extents[1]) for extents in around))


def _inner(extent: Extent) -> tuple[Extent, ...]:
    """Two extents: each of an inner map's must lie whole within one of the outer's, else writing it is EPERM."""
    return Extent(0, 0, 1), Extent(1, 1, extent.length)


@cache
def _range(word: str) -> Extent | None:
    if not found(f"new{word}map"):
        return None
    extent = _subordinate(Path(f"/etc/sub{word}"), os.geteuid())
    return extent._replace(length=min(extent.length, COUNT - 1)) if extent else None


def _subordinate(path: Path, uid: int) -> Extent | None:
    """The first range that ``subuid(5)`` file ``path`` gives a user: ``name-or-uid:first:count``."""
    names = {str(uid)}
    with suppress(KeyError):
        names.add(pwd.getpwuid(uid).pw_name)
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        parts = line.split(":")
        if len(parts) == 3 and parts[0] in names and parts[1].isdecimal() and parts[2].isdecimal() and int(parts[2]):
            return Extent(1, int(parts[1]), int(parts[2]))
    return None
