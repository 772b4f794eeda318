"""``oslet diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from oslet.cli import options

if TYPE_CHECKING:
    from oslet.model.tree import Entry
    from oslet.trim.difference import Difference, PathChange, Share

SHOWN = 40
"""Paths that are listed without --all."""


@click.command("diff")
@click.argument("a", callback=options.spelled, shell_complete=options.named)
@click.argument("b", callback=options.spelled, shell_complete=options.named)
@click.option("--all", "everything", is_flag=True, help=f"List every path, not only the {SHOWN} that weigh most.")
@options.as_json
def command(a: str, b: str, everything: bool, as_json: bool) -> int:
    """What differs between A and B: packages, paths, reasons, bytes.

    Each is an image (a name, a digest or a declaration's file, which is built first) or a lock (a file that ends in
    .lock); with a lock on either side, locks are compared. Exit code 0 when they are equal, 1 when not.
    """
    from oslet.cli import render
    from oslet.trim.difference import shares, versions_of

    with options.workspace() as workspace:
        found, locks = workspace.difference(a, b)
    rows = shares(found, (versions_of(locks[0]), versions_of(locks[1])))
    if as_json:
        render.as_json(_json(found, rows))
    else:
        _tell(found, rows, everything)
    return 0 if found.empty else 1


def _tell(found: Difference, rows: tuple[Share, ...], everything: bool) -> None:
    from oslet.cli import render

    for fact in found.facts:
        render.data(f"{fact.name}: {_short(fact.before)} → {_short(fact.after)}")
    if rows:
        render.table(
            ("package", "version", ">added", ">removed", ">changed", ">bytes"),
            ((r.origin, _versions(r), str(r.added), str(r.removed), str(r.changed), _signed(r.bytes)) for r in rows),
        )
    paths = sorted(found.paths, key=lambda p: (-abs(p.bytes), p.path))
    shown = paths if everything else paths[:SHOWN]
    if shown:
        render.data("")
        render.table((" ", ">bytes", "path", "what"), ((_sign(p), _signed(p.bytes), p.path, _what(p)) for p in shown))
    if len(paths) > len(shown):
        render.talk(f"… and {len(paths) - len(shown)} paths more (--all)")
    if found.dropped:
        render.talk(f"{len(found.dropped)} paths are left out on one side only, or for another reason (--json)")


def _short(fact: bytes) -> str:
    text = bytes(fact).decode()
    return text if len(text) <= 100 else f"{text[:99]}…"


def _versions(row: Share) -> str:
    if row.before == row.after:
        return row.after
    return f"{row.before or '(none)'} → {row.after or '(none)'}"


def _signed(count: int) -> str:
    return f"{count:+,}" if count else "0"


def _sign(change: PathChange) -> str:
    return "~" if change.before and change.after else "+" if change.after else "-"


def _what(change: PathChange) -> str:
    """In words, what became of a path."""
    old, new = change.before, change.after
    if old is None or new is None:
        return (new or old).reason  # type: ignore[union-attr]
    told = []
    for aspect in change.what:
        if aspect == "mode":
            told.append(f"mode {old.mode:04o} → {new.mode:04o}")
        elif aspect == "owner":
            told.append(f"owner {old.uid}:{old.gid} → {new.uid}:{new.gid}")
        elif aspect == "content":
            told.append("content")
        else:
            told.append(f"{aspect} {getattr(old, aspect)} → {getattr(new, aspect)}")
    return "; ".join(told)


def _json(found: Difference, rows: tuple[Share, ...]) -> dict[str, Any]:
    return {
        "equal": found.empty,
        "facts": found.facts,
        "packages": [{"name": p.name, "before": p.before, "after": p.after, "what": p.what} for p in found.packages],
        "shares": [{**_fields(row), "bytes": row.bytes} for row in rows],
        "paths": [_path(p) for p in found.paths],
        "dropped": [_path(p) for p in found.dropped],
    }


def _path(change: PathChange) -> dict[str, Any]:
    sides = {"before": _entry(change.before), "after": _entry(change.after)}
    return {"path": change.path, "what": change.what, "bytes": change.bytes, **sides}


def _entry(entry: Entry | None) -> dict[str, Any] | None:
    """An entry with its fields named; in the store it is a bare array."""
    return _fields(entry) if entry else None


def _fields(struct: Entry | Share) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}
