"""Why a path is in a tree, or why it was left out: the chain of evidence back to the declaration. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from oslet.errors import DeclarationError
from oslet.model.lock import Lock, Package, Wheel
from oslet.model.tree import Entry, Tree, follow
from oslet.trim import because
from oslet.trim.world import Edge

MAX_HOPS = 60


class Answer(Struct, frozen=True):
    """One path's (or package's) answer: kept or not, and its chain, the nearest reason first, the declaration last.

    ``chains`` are all chains, the shortest first, where all were asked for.
    """

    path: str
    kept: bool
    origin: str
    lines: tuple[str, ...]
    chains: tuple[tuple[str, ...], ...] = ()


def why(path: str, tree: Tree, lock: Lock, edges: Iterable[Edge] = ()) -> Answer:
    """``Asking(tree, lock).why(path, edges)``, for one question."""
    return Asking(tree, lock).why(path, edges)


class Asking:
    """Answers about one tree."""

    def __init__(self, tree: Tree, lock: Lock) -> None:
        self._tree = tree
        self._lock = lock
        self._kept = {e.path: e for e in tree.entries}
        self._dropped = {e.path: e for e in tree.dropped}

    def why(self, path: str, edges: Iterable[Edge] = ()) -> Answer:
        """The reason chain of one path, or of a package by its name; with ``edges``, the chain of each of them too.

        Raises DeclarationError, with the nearest paths, for one that never was there.
        """
        if "/" not in path and (answer := _package(path, self._tree, self._lock)):
            return answer
        path = path if path.startswith("/") else f"/{path}"
        hops, here = _through_links(path, self._kept)
        if entry := self._kept.get(here):
            head = (*hops, f"{here} is kept ({_kind(entry)}, from {entry.origin})")
            chains = tuple((_sentence(e.by, e.reason), *_above(e.by, self._kept, self._lock)) for e in edges)
            return Answer(path, True, entry.origin, (*head, *_chain(entry, self._kept, self._lock)), chains)
        if left := self._dropped.get(here):
            lines = (f"{here} was left out (from {left.origin})", left.reason, *_requests(left.origin, self._lock))
            return Answer(path, False, left.origin, (*hops, *lines))
        near = difflib.get_close_matches(here, [*self._kept, *self._dropped], 3)
        raise DeclarationError(
            "no package, wheel or file of the declaration brings it",
            where=path,
            hint=f"near to it: {', '.join(near)}" if near else "",
        )


def _through_links(path: str, entries: Mapping[str, Entry]) -> tuple[list[str], str]:
    """Follow links in ``path``'s folders (``/lib/x`` is ``/usr/lib/x``), noting each hop."""
    try:
        here, links = follow(path, entries.get, last=False)
    except ValueError:
        return [], path
    return [f"{link} is a link to {entries[link].target}" for link in links], here


def _kind(entry: Entry) -> str:
    if entry.kind == "file":
        return f"{entry.size} bytes"
    return f"link to {entry.target}" if entry.kind == "link" else "folder"


def _sentence(by: str, reason: str) -> str:
    return f"{by} {reason}" if by else reason


def _chain(entry: Entry, entries: Mapping[str, Entry], lock: Lock) -> Iterator[str]:
    """The evidence for one entry, that for the path it was found in, and so on to the declaration."""
    for _ in range(MAX_HOPS):
        if entry.reason and not entry.reason.startswith(f"{entry.origin} is "):
            yield _sentence(entry.by, entry.reason) if not _made(entry) else entry.reason
        if not entry.by:
            if entry.reason.startswith(f"{entry.origin.removeprefix('wheel:')} is ") or not _reached(entry):
                yield from _requests(entry.origin, lock)
            return
        if _made(entry):
            yield f"it stays with {entry.by}"
        entry = entries[entry.by]


def _above(path: str, entries: Mapping[str, Entry], lock: Lock) -> Iterator[str]:
    return _chain(entries[path], entries, lock) if path else iter(())


def _made(entry: Entry) -> bool:
    """Whether the entry's reason says what it is, and not what was found in ``by``."""
    return entry.origin.startswith("made:") or entry.origin in ("files", "image")


def _reached(entry: Entry) -> bool:
    """Whether the declaration itself asks for the path, so that the chain ends there."""
    return entry.reason.startswith(("the declaration", "a check of the declaration", "Python imports"))


def _requests(origin: str, lock: Lock) -> Iterator[str]:
    """Who asked for ``origin``, and who asked for that, up to what the declaration names."""
    items: dict[str, Package | Wheel] = {p.name: p for p in lock.packages}
    items |= {f"wheel:{w.name}": w for w in lock.wheels}
    for _ in range(MAX_HOPS):
        if origin not in items:
            return
        item = items[origin]
        yield because(item)
        origin = f"wheel:{item.by}" if isinstance(item, Wheel) and item.by else item.by


def _package(name: str, tree: Tree, lock: Lock) -> Answer | None:
    """What a package costs, what of it stays by which evidence first, and who brings it."""
    origins = dict.fromkeys((name, f"wheel:{name}"), 1)
    kept = [e for e in tree.entries if e.origin in origins and e.kind == "file"]
    left = [e for e in tree.dropped if e.origin in origins and e.kind == "file"]
    brought = [line for origin in origins for line in _requests(origin, lock)]
    if not kept and not left and not brought:
        return None
    origin = (kept or left)[0].origin if kept or left else name
    size, rest = sum(e.size for e in kept), sum(e.size for e in left)
    lines = [
        f"{name} has {len(kept)} files of {size} bytes in the image; {len(left)} of {rest} bytes were left out",
        *brought,
    ]
    first = next((e for e in kept if e.by and "is of " not in e.reason), None)
    if first is not None:
        lines.insert(1, f"{first.path}: {_sentence(first.by, first.reason)}")
    return Answer(name, bool(kept), origin, tuple(lines))
