"""What differs between two locks, trees or images: packages, paths, reasons, bytes. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from oslet.model.image import Image
from oslet.model.lock import Lock, Package, Wheel
from oslet.model.tree import Entry, Tree

Aspect: TypeAlias = Literal["kind", "mode", "owner", "content", "target", "origin", "reason"]

_ASPECTS: tuple[tuple[Aspect, tuple[str, ...]], ...] = (
    ("kind", ("kind",)),
    ("mode", ("mode",)),
    ("owner", ("uid", "gid")),
    ("content", ("size", "digest")),
    ("target", ("target",)),
    ("origin", ("origin",)),
    ("reason", ("reason", "by")),
)
"""Every fact of an entry but its path, in the order in which they are told."""

NEUTRAL = frozenset[Aspect]({"origin", "reason"})
"""What no application can tell apart."""


class PackageChange(Struct, frozen=True):
    """One package that only one side has, or that both have otherwise. ``what`` are the fields that differ."""

    before: Package | Wheel | None
    after: Package | Wheel | None
    what: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The origin that its files have: the package's name, or ``wheel:NAME``."""
        item = self.after or self.before
        assert item is not None
        return _origin(item)


class PathChange(Struct, frozen=True):
    """One path that only one side has, or that both have otherwise. ``what`` says in which aspects."""

    path: str
    before: Entry | None
    after: Entry | None
    what: tuple[Aspect, ...] = ()

    @property
    def bytes(self) -> int:
        """How many bytes more there are afterwards."""
        return (self.after.size if self.after else 0) - (self.before.size if self.before else 0)


class FactChange(Struct, frozen=True):
    """One fact of an image beside its files: its name, and what it was and is, as JSON."""

    name: str
    before: msgspec.Raw
    after: msgspec.Raw


class Difference(Struct, frozen=True):
    """What to change on one side to have the other. Equal sides have an empty one.

    ``paths`` are those that the images hold; ``dropped`` those that were left out, for another reason or on one side
    only; ``facts`` are the start contract and the like.
    """

    packages: tuple[PackageChange, ...] = ()
    paths: tuple[PathChange, ...] = ()
    dropped: tuple[PathChange, ...] = ()
    facts: tuple[FactChange, ...] = ()

    @property
    def empty(self) -> bool:
        return not (self.packages or self.paths or self.dropped or self.facts)


class Share(Struct, frozen=True):
    """What changed of one origin: versions (empty on the side that lacks it), paths by kind of change, and bytes."""

    origin: str
    before: str
    after: str
    added: int
    removed: int
    changed: int
    bytes_before: int
    bytes_after: int

    @property
    def bytes(self) -> int:
        return self.bytes_after - self.bytes_before


def between_locks(a: Lock, b: Lock) -> Difference:
    """Packages and wheels by name, and the facts that a whole lock has. What was wanted is told by what came of it."""
    before, after = {_origin(i): i for i in a.items}, {_origin(i): i for i in b.items}
    changes = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old != new:
            changes.append(PackageChange(old, new, _fields(old, new) if old and new else ()))
    return Difference(packages=tuple(changes), facts=_facts(a, b, ("suite", "arch", "python", "wants")))


def between_trees(a: Tree, b: Tree) -> Difference:
    return Difference(paths=_paths(a.entries, b.entries), dropped=_paths(a.dropped, b.dropped))


def between_images(a: tuple[Image, Lock, Tree], b: tuple[Image, Lock, Tree]) -> Difference:
    """Everything that two images differ in, but for the digests that follow from it."""
    locks, trees = between_locks(a[1], b[1]), between_trees(a[2], b[2])
    start = _facts(a[0].start, b[0].start, type(a[0].start).__struct_fields__)
    facts = _facts(a[0], b[0], ("name", "arch", "params", "rendered", "uid", "gid"))
    known = {fact.name for fact in facts}
    facts += tuple(fact for fact in (*start, *locks.facts) if fact.name not in known)
    return Difference(locks.packages, trees.paths, trees.dropped, facts)


def shares(difference: Difference, versions: tuple[Mapping[str, str], Mapping[str, str]]) -> tuple[Share, ...]:
    """The change by origin, the one that weighs most first. ``versions`` are both sides' (``versions_of``)."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for change in difference.packages:
        counts[change.name]
    for path in difference.paths:
        if path.before and path.after and path.before.origin == path.after.origin:
            row = counts[path.after.origin]
            row[2] += 1
            row[3] += path.before.size
            row[4] += path.after.size
            continue
        if path.before:
            counts[path.before.origin][1] += 1
            counts[path.before.origin][3] += path.before.size
        if path.after:
            counts[path.after.origin][0] += 1
            counts[path.after.origin][4] += path.after.size
    before, after = versions
    found = (Share(name, before.get(name, ""), after.get(name, ""), *row) for name, row in counts.items())
    return tuple(sorted(found, key=lambda s: (-abs(s.bytes), s.origin)))


def versions_of(lock: Lock) -> dict[str, str]:
    """Origin → version."""
    return {_origin(item): item.version for item in lock.items}


def _origin(item: Package | Wheel) -> str:
    return item.name if isinstance(item, Package) else f"wheel:{item.name}"


def _paths(a: Iterable[Entry], b: Iterable[Entry]) -> tuple[PathChange, ...]:
    before, after = {e.path: e for e in a}, {e.path: e for e in b}
    changes = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old != new:
            changes.append(PathChange(path, old, new, _aspects(old, new) if old and new else ()))
    return tuple(changes)


def _aspects(old: Entry, new: Entry) -> tuple[Aspect, ...]:
    return tuple(
        aspect for aspect, fields in _ASPECTS if any(getattr(old, field) != getattr(new, field) for field in fields)
    )


def _fields(old: Struct, new: Struct) -> tuple[str, ...]:
    if type(old) is not type(new):
        return ("kind",)
    return tuple(f for f in old.__struct_fields__ if getattr(old, f) != getattr(new, f))


def _facts(a: Struct, b: Struct, names: Iterable[str]) -> tuple[FactChange, ...]:
    found = []
    for name in names:
        old, new = getattr(a, name), getattr(b, name)
        if old != new:
            found.append(FactChange(name, msgspec.Raw(msgspec.json.encode(old)), msgspec.Raw(msgspec.json.encode(new))))
    return tuple(found)
