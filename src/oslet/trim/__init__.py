"""Lock × contents → Tree: what stays, what is left out, and why each. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from oslet.model.lock import IMAGE, Lock, Package, Wheel
from oslet.model.oslet import Policy
from oslet.model.tree import Entry, Tree
from oslet.trim.rules import Rule, globs, rules
from oslet.trim.spared import spared_by

__all__ = ["because", "trim"]


def because(item: Package | Wheel) -> str:
    """Why a locked package is there, in one sentence: who asked for it, and in which words."""
    if item.by == IMAGE:
        return f"{item.name} is in the image that the declaration starts from ({item.request})"
    if not item.by:
        return f"{item.name} is named by the declaration ({item.request})"
    return f"{item.name} is needed by {item.by} ({item.request})"


def trim(entries: Iterable[Entry], lock: Lock, policy: Policy) -> Tree:
    """Keep what the level of ``policy`` keeps, with each path's reason; ``keep`` patterns overrule every rule.

    ``entries`` are the merged contents of the lock's packages, one per path. Folders that lose all they held go too.
    Trimming a trimmed tree changes nothing.
    """
    why = {p.name: because(p) for p in lock.packages} | {f"wheel:{w.name}": because(w) for w in lock.wheels}
    named = {p.name for p in lock.packages if not p.by} | {f"wheel:{w.name}" for w in lock.wheels if not w.by}
    wanted = policy.keep + spared_by(policy.features)
    keep = globs(wanted) if wanted else None
    everywhere = rules("packages")
    spared = tuple(r for r in everywhere if r.named)
    own = tuple(r for r in everywhere if r.image)
    kept: list[Entry] = []
    dropped: list[Entry] = []
    alive: set[str] = set()  # folders that hold something kept
    lost: set[str] = set()  # folders that held something left out
    for entry in sorted(entries, key=lambda e: e.path, reverse=True):  # what a folder holds comes before it
        rule = None if keep and keep.fullmatch(entry.path) else _first(named, everywhere, spared, own, entry)
        if entry.path in alive or not (rule or (entry.kind == "dir" and entry.path in lost)):
            alive.add(_parent(entry.path))
            kept.append(msgspec.structs.replace(entry, reason=entry.reason or why.get(entry.origin, entry.origin)))
        else:
            lost.add(_parent(entry.path))
            reason = f"{rule.name}: {rule.reason}" if rule else "hollow: all this folder held was left out"
            dropped.append(msgspec.structs.replace(entry, reason=reason))
    return Tree(tuple(reversed(kept)), tuple(reversed(dropped)))


def _first(
    named: set[str], everywhere: Iterable[Rule], spared: Iterable[Rule], own: Iterable[Rule], entry: Entry
) -> Rule | None:
    """The first rule that leaves out ``entry``; files of named packages answer to fewer rules, and an image's own,
    which somebody put there on purpose, to those that say so."""
    path = entry.path
    applied = own if entry.origin == "image" else spared if entry.origin in named else everywhere
    return next((rule for rule in applied if rule.leaves_out(path)), None)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
