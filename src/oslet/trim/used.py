"""Used: what an instance on the whole tree used, held against what the image keeps. Pure.

A trace never decides what stays; it may only say that a decision was wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from oslet.errors import BuildError
from oslet.model.tree import Entry, Tree
from oslet.model.watch import How, Trace, Use, Watched
from oslet.trim.cut import BYTE_CODE
from oslet.trim.rules import features, rules

SHOWN = 4
"""How many paths an error names."""
_WEAK: frozenset[How] = frozenset({"looked", "linked", "listed"})


class Finding(Struct, frozen=True):
    """A path that was used and that the image leaves out: why, how it was used and by whom, and the ``keep`` pattern
    that would leave it in."""

    path: str
    reason: str
    origin: str
    how: tuple[How, ...]
    process: str
    pid: int
    first: float
    count: int
    keep: str


class Unused(NamedTuple):
    """A kept file that a workload didn't use: its bytes, the reason that keeps it, the path where that was found, and
    the rule or feature that could leave it out (empty for none)."""

    path: str
    size: int
    origin: str
    reason: str
    by: str
    rule: str


def whole(tree: Tree) -> Tree:
    """The tree with all that was left out of it in its place again. What a later step made at such a path stays."""
    entries = {e.path: e for e in tree.entries}
    for entry in sorted(tree.dropped, key=lambda e: e.path):
        if entry.path in entries:
            continue
        missing = [p for p in _parents(entry.path) if p not in entries]
        if all(entries[p].kind == "dir" for p in _parents(entry.path) if p in entries):
            entries |= {p: Entry(p, "dir", 0o755, origin=entry.origin, reason=f"holds {entry.path}") for p in missing}
            entries[entry.path] = entry
    return Tree(tuple(entries[path] for path in sorted(entries)))


def findings(watched: Watched, tree: Tree) -> tuple[Finding, ...]:
    """The dropped paths of ``tree`` that an instance on ``whole(tree)`` asked for, by path.

    What isn't in the whole tree either is no loss, and what is merely walked over isn't asked for: see ``asked_for``.
    """
    dropped = _missed(tree)
    filled = {_parent(path) for path in dropped}
    found = []
    for use in asked_for(watched.uses, whole(tree)):
        if entry := dropped.get(use.path):
            within = entry.kind == "dir" and "listed" in use.how and use.path in filled
            keep = f"{use.path}/**" if within else use.path
            who = (use.process, use.pid, use.first, use.count)
            found.append(Finding(use.path, entry.reason, entry.origin, use.how, *who, keep))
    return tuple(found)


def asked_for(uses: Iterable[Use], tree: Tree) -> tuple[Use, ...]:
    """The uses that a process would miss if the path weren't there.

    - A folder that is only looked at is none: what follows, a listing or a file in it, counts by itself.
    - A path that a listing of its folder led to, as all its siblings, is none: whoever walks over everything asks for
      nothing, and in a tree without the path the listing wouldn't have shown it.
    """
    by_path = {use.path: use for use in uses}
    kinds = {e.path: e.kind == "dir" for e in tree.entries}
    siblings: dict[tuple[str, bool], list[str]] = {}
    for path, is_folder in kinds.items():
        siblings.setdefault((_parent(path), is_folder), []).append(path)

    def asked(use: Use) -> bool:
        how = set(use.how)
        if use.path not in kinds:
            return False
        if kinds[use.path]:
            how -= {"looked"}
        if not how or how - _WEAK:
            return bool(how)
        above = by_path.get(_parent(use.path))
        listed = above is not None and "listed" in above.how
        return not (listed and all(p in by_path for p in siblings[_parent(use.path), kinds[use.path]]))

    return tuple(use for use in by_path.values() if asked(use))


def trace(watched: Watched, tree: Tree, lock: str) -> Trace:
    """What a workload used of ``whole(tree)``, links and folders included. ``lock`` is the tree's lock's digest."""
    return Trace(lock, tuple(sorted(use.path for use in asked_for(watched.uses, whole(tree)))))


def joined(one: Trace, other: Trace) -> Trace:
    """What either workload used."""
    return replace(one, used=tuple(sorted({*one.used, *other.used})))


def lost(tree: Tree, seen: Trace) -> tuple[Entry, ...]:
    """What the trace saw used and ``tree`` leaves out."""
    dropped = _missed(tree)
    return tuple(dropped[path] for path in seen.used if path in dropped)


def check_trace(tree: Tree, seen: Trace, *, where: str = "") -> None:
    """Raise BuildError if ``tree`` leaves out a path that ``seen`` saw used, naming both. ``where`` is the trace's
    file."""
    found = lost(tree, seen)
    if not found:
        return
    shown = "; ".join(f"{e.path} ({e.reason})" for e in found[:SHOWN])
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    raise BuildError(
        f"the traced workload used what the image leaves out: {shown}{more}",
        where=where,
        hint=f"{keep_line(e.path for e in found)}  # or trace again, if the workload no longer needs it",
    )


def unused(tree: Tree, seen: Trace) -> tuple[Unused, ...]:
    """The kept files that the workload didn't use, the largest first."""
    used = set(seen.used)
    found = [
        Unused(e.path, e.size, e.origin, e.reason, e.by, _rule(e.path))
        for e in tree.entries
        if e.kind == "file" and e.path not in used
    ]
    return tuple(sorted(found, key=lambda u: (-u.size, u.path)))


def _missed(tree: Tree) -> dict[str, Entry]:
    """What was left out and may be missed, by path. Python compiles a module that has no byte code: that costs time,
    and where the module itself was left out, it is the module that is asked for."""
    kept = {e.path for e in tree.entries}
    return {e.path: e for e in tree.dropped if e.path not in kept and e.origin != BYTE_CODE}


def keep_line(paths: Iterable[str]) -> str:
    """The line of a declaration that keeps ``paths``."""
    return f"keep = [{', '.join(_quoted(p) for p in paths)}]"


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else "?" for c in escaped) + '"'


def _rule(path: str) -> str:
    """The rule, or the feature, that is about a path."""
    for rule in (*rules("packages"), *rules("safe")):
        if rule.leaves_out(path):
            return rule.name
    return next((f"feature {f.name}" for f in features().values() if f.paths.fullmatch(path)), "")


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(2, len(parts))]


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
