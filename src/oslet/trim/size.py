"""What a tree's bytes are spent on: by package, by type, by reason or by folder. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias, get_args

from msgspec import Struct

from oslet.model.tree import Entry, Tree
from oslet.trim.kinds import reason_kind, type_of

__all__ = ["GROUPINGS", "By", "Row", "rows"]

By: TypeAlias = Literal["package", "type", "reason", "folder"]
GROUPINGS: tuple[str, ...] = get_args(By)

FOLDERS = 3
"""How many segments of a path name its folder: ``/usr/lib/python3.13`` says what ``/usr/lib`` doesn't."""


class Row(Struct, frozen=True):
    """One group of a tree: its kept files and links, their bytes, and the files and bytes that were left out of it."""

    key: str
    files: int
    links: int
    size: int
    left_out_files: int
    left_out: int


def rows(tree: Tree, by: By) -> tuple[Row, ...]:
    """The groups, the largest first: each file and link, kept or left out, is in exactly one. Folders weigh nothing."""
    key = _KEYS[by]
    found: dict[str, list[int]] = {}
    for kept, entries in ((True, tree.entries), (False, tree.dropped)):
        for entry in entries:
            if entry.kind == "dir":
                continue
            row = found.setdefault(key(entry, kept), [0] * 5)
            file = entry.kind == "file"
            if kept:
                row[0] += file
                row[1] += not file
                row[2] += entry.size
            else:
                row[3] += file
                row[4] += entry.size
    made = (Row(name, *figures) for name, figures in found.items())
    return tuple(sorted(made, key=lambda r: (-r.size, -r.left_out, r.key)))


def _folder(entry: Entry, kept: bool) -> str:
    folders = entry.path.split("/")[1:-1]
    return "/" + "/".join(folders[:FOLDERS])


_KEYS: Mapping[By, Callable[[Entry, bool], str]] = {
    "package": lambda entry, kept: entry.origin,
    "type": lambda entry, kept: type_of(entry),
    "reason": lambda entry, kept: reason_kind(entry.reason, kept=kept, found=bool(entry.by)),
    "folder": _folder,
}
