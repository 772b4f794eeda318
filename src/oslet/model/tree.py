"""The tree: a whole file system as a value, and what was left out."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

EntryKind: TypeAlias = Literal["file", "dir", "link"]


class Entry(Struct, frozen=True, array_like=True):
    """One path of a tree: who brought it, and why it stayed.

    ``path`` is absolute and normal (no trailing slash, ``.`` or ``..``); ``mode`` holds the permission bits (07777);
    ``digest`` is the sha256 of a file's content, in hex; ``target`` a link's. ``origin`` is a package's name,
    ``wheel:NAME``, ``files`` (the declaration's own) or ``made:STEP``; ``reason`` is one sentence.
    """

    path: str
    kind: EntryKind
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    digest: str = ""
    target: str = ""
    origin: str = ""
    reason: str = ""


class Dropped(Struct, frozen=True, array_like=True):
    """One path that was left out, who would have brought it, its size in bytes, and why."""

    path: str
    origin: str
    size: int
    reason: str


class Tree(Struct, frozen=True):
    """A whole file system, sorted by path, and what was left out."""

    entries: tuple[Entry, ...] = ()
    dropped: tuple[Dropped, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files, uncompressed."""
        return sum(e.size for e in self.entries)

    @property
    def files(self) -> int:
        """How many regular files."""
        return sum(e.kind == "file" for e in self.entries)


class Contents(Struct, frozen=True):
    """What one package holds, as read from its file: the input of trimming.

    ``origin`` is the package's name or ``wheel:NAME``; ``digest`` the package file's sha256; ``control`` the texts of a
    Debian package's control members (``control``, ``postinst``, ``triggers``, ``conffiles``, …).
    """

    origin: str
    digest: str
    entries: tuple[Entry, ...]
    control: dict[str, str] = {}
