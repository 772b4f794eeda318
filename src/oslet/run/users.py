"""Users: what an image's own ``passwd(5)`` and ``group(5)`` say of its service user."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_MOST = 1 << 20
"""Bytes of either file that are read."""


class Account(NamedTuple):
    """A user's home folder, and the groups beside its own."""

    home: str
    groups: tuple[int, ...]


def account(root: Path, uid: int) -> Account:
    """What the tree at ``root`` says of ``uid``; home ``/`` and no groups where it says nothing."""
    name, home = "", "/"
    for fields in _rows(root / "etc/passwd"):
        if len(fields) >= 7 and fields[2] == str(uid):
            name, home = fields[0], fields[5] or "/"
            break
    groups = tuple(
        int(fields[2])
        for fields in _rows(root / "etc/group")
        if name and len(fields) >= 4 and fields[2].isdecimal() and name in fields[3].split(",")
    )
    return Account(home, groups)


def _rows(path: Path) -> list[list[str]]:
    if path.is_symlink():
        return []
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return [line.split(":") for line in file.read(_MOST).splitlines()]
    except OSError:
        return []
