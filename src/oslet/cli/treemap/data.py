"""What the page knows of a tree, as columns: small enough that ten thousand paths stay under a megabyte and a half."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from oslet.model.lock import Lock, Package, Wheel
from oslet.model.tree import Entry, Tree, follow
from oslet.trim import because
from oslet.trim.kinds import reason_kind, type_of

OWN, BY, ORIGIN, MARKS = "\ue000", "\ue001", "\ue002", "\ue000\ue001\ue002"
"""What stands in a reason for the entry's own path, the path its evidence is in, and its origin: sentences that differ
in these alone are kept once. The characters are of Unicode's private area and are taken out of reasons that have them.
"""


class Words:
    """Texts by number, each kept once."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.numbers.setdefault(text, len(self.numbers))


def embedded(name: str, tree: Tree, lock: Lock) -> dict[str, Any]:
    """The data of the page for the image ``name``; model.js reads it."""
    both = [*((e, True) for e in tree.entries), *((e, False) for e in tree.dropped)]
    both.sort(key=lambda pair: (pair[0].path, not pair[1]))
    places = {e.path: n for n, (e, kept) in enumerate(both) if kept}
    kept = {e.path: e for e in tree.entries}
    origins = _origins(lock)
    numbers = {row[0]: n for n, row in enumerate(origins)}
    types, kinds, reasons = Words(), Words(), Words()
    columns: dict[str, list[Any]] = {
        c: [] for c in ("shared", "rest", "size", "origin", "type", "kind", "reason", "by")
    }
    flags: list[str] = []
    links: dict[int, str] = {}
    before = ""
    for n, (entry, stays) in enumerate(both):
        if entry.origin not in numbers:
            numbers[entry.origin] = len(origins)
            origins.append([entry.origin, "", "", -1])
        shared = os.path.commonprefix((before, entry.path))  # noqa: RUF071 – characters are meant
        before = entry.path
        flags.append(entry.kind[0] if stays else entry.kind[0].upper())
        if entry.kind == "link":
            links[n] = entry.target
        row = (
            len(shared.encode("utf-16-le", "surrogatepass")) // 2,  # as JavaScript counts
            entry.path[len(shared) :],
            entry.size,
            numbers[entry.origin],
            types(type_of(entry)),
            kinds(reason_kind(entry.reason, kept=stays, found=bool(entry.by))),
            reasons(_said(entry)),
            _place(entry.by, places, kept.get),
        )
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return {
        "name": name,
        "origins": origins,
        "types": list(types.numbers),
        "kinds": list(kinds.numbers),
        "reasons": list(reasons.numbers),
        "flags": "".join(flags),
        "links": links,
        **columns,
    }


def _origins(lock: Lock) -> list[list[Any]]:
    """What may bring a path: name, version, why it is there, and the number of the one that asked for it (or -1)."""
    named: list[tuple[str, Package | Wheel]] = [
        *((p.name, p) for p in lock.packages),
        *((f"wheel:{w.name}", w) for w in lock.wheels),
    ]
    numbers = {name: n for n, (name, _) in enumerate(named)}
    return [
        [name, item.version, because(item), numbers.get(name.removesuffix(item.name) + item.by, -1) if item.by else -1]
        for name, item in named
    ]


def _said(entry: Entry) -> str:
    """The entry's reason, with marks for what differs from one entry to the next."""
    text = entry.reason.translate(dict.fromkeys(map(ord, MARKS), "\ufffd"))
    for mark, part in sorted(((OWN, entry.path), (BY, entry.by), (ORIGIN, entry.origin)), key=lambda p: -len(p[1])):
        if len(part) > 1:
            text = text.replace(part, mark)
    return text


def _place(by: str, places: dict[str, int], get: Callable[[str], Entry | None]) -> int:
    """The number of the kept path ``by``, through links where it stands behind one; -1 for none."""
    if not by or by in places:
        return places.get(by, -1)
    try:
        return places.get(follow(by, get)[0], -1)
    except ValueError:  # links in circles lead nowhere
        return -1
