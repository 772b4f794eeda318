"""Why a path is in a tree, or why it was left out: the chain of reasons back to the declaration. Pure."""

from __future__ import annotations

import difflib

from msgspec import Struct

from oslet.errors import DeclarationError
from oslet.model.lock import Lock, Package, Wheel
from oslet.model.tree import Entry, Tree
from oslet.trim import because

MAX_HOPS = 40


class Answer(Struct, frozen=True):
    """One path's answer: kept or not, and its chain, the nearest reason first, the declaration last."""

    path: str
    kept: bool
    origin: str
    lines: tuple[str, ...]


def why(path: str, tree: Tree, lock: Lock) -> Answer:
    """The reason chain of one path. Raises DeclarationError, with the nearest paths, for one that never was there."""
    entries = {e.path: e for e in tree.entries}
    hops: list[str] = []
    here = _through_links(path, entries, hops)
    if entry := entries.get(here):
        said = () if entry.reason.startswith(f"{entry.origin} is ") else (entry.reason,)
        chain = (f"{here} is kept ({_kind(entry)}, from {entry.origin})", *said, *_requests(entry.origin, lock))
        return Answer(path, True, entry.origin, (*hops, *chain))
    for dropped in tree.dropped:
        if dropped.path == here:
            chain = (f"{here} was left out (from {dropped.origin})", dropped.reason, *_requests(dropped.origin, lock))
            return Answer(path, False, dropped.origin, (*hops, *chain))
    near = difflib.get_close_matches(here, [*entries, *(d.path for d in tree.dropped)], 3)
    raise DeclarationError(
        "no package, wheel or file of the declaration brings it",
        where=path,
        hint=f"near to it: {', '.join(near)}" if near else "",
    )


def _through_links(path: str, entries: dict[str, Entry], hops: list[str]) -> str:
    """Follow links in ``path``'s folders (``/lib/x`` is ``/usr/lib/x``), noting each hop."""
    for _ in range(MAX_HOPS):
        parts = path.split("/")
        for n in range(2, len(parts)):
            link = entries.get("/".join(parts[:n]))
            if link and link.kind == "link":
                base = link.target if link.target.startswith("/") else f"{link.path.rpartition('/')[0]}/{link.target}"
                hops.append(f"{link.path} is a link to {link.target}")
                path = "/".join((base, *parts[n:]))
                break
        else:
            return path
    return path


def _kind(entry: Entry) -> str:
    if entry.kind == "file":
        return f"{entry.size} bytes"
    return f"link to {entry.target}" if entry.kind == "link" else "folder"


def _requests(origin: str, lock: Lock) -> tuple[str, ...]:
    """Who asked for ``origin``, and who asked for that, up to what the declaration names."""
    items: dict[str, Package | Wheel] = {p.name: p for p in lock.packages}
    items |= {f"wheel:{w.name}": w for w in lock.wheels}
    found: list[str] = []
    while origin in items and len(found) < MAX_HOPS:
        item = items[origin]
        found.append(because(item))
        wheel = isinstance(item, Wheel)
        origin = f"wheel:{item.by}" if wheel and item.by else item.by
    return tuple(found)
