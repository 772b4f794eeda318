"""The tree: a whole file system as a value, and what was left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec import Struct

EntryKind: TypeAlias = Literal["file", "dir", "link"]


class Entry(Struct, frozen=True, array_like=True):
    """One path of a tree: who brought it, and why it stayed.

    ``path`` is absolute and normal (no trailing slash, ``.`` or ``..``); ``mode`` holds the permission bits (07777);
    ``digest`` is the sha256 of a file's content, in hex; ``target`` a link's. ``origin`` is a package's name,
    ``wheel:NAME``, ``files`` (the declaration's own), ``image`` (an image's own) or ``made:STEP``. ``reason`` is
    one sentence: the evidence that keeps it, or why it was left out; ``by`` is the kept path that this evidence was
    found in, empty where the sentence itself leads to the declaration.
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
    by: str = ""

    @property
    def program(self) -> bool:
        """Whether it is a file that may be executed, and neither a library nor a Python module."""
        name = self.path.rpartition("/")[2]
        module = name.endswith(".py") and "/lib/python3" in self.path
        return self.kind == "file" and bool(self.mode & 0o111) and ".so" not in name and not module


class Tree(Struct, frozen=True):
    """A whole file system, sorted by path, and what was left out of it, whole: so that it can be served again."""

    entries: tuple[Entry, ...] = ()
    dropped: tuple[Entry, ...] = ()

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


MAX_PATH = 3072
"""Bytes of a path or a link's target: the kernel's 4096 (limits.h), less room for the folder that a tree is laid in."""
MAX_NAME = 255


def standable(entry: Entry) -> bool:
    """Whether a file system can hold the entry: names of a length that it takes, in UTF-8, without NUL; a target."""
    try:
        path, target = entry.path.encode(), entry.target.encode()
    except UnicodeEncodeError:
        return False
    names = path[1:].split(b"/") if path != b"/" else []
    if len(path) > MAX_PATH or len(target) > MAX_PATH or b"\0" in path + target:
        return False
    return all(0 < len(name) <= MAX_NAME for name in names) and (entry.kind != "link" or target != b"")


MAX_LINKS = 40
"""How many links one path may pass through; the kernel's own limit (path_resolution(7))."""


def follow(path: str, get: Callable[[str], Entry | None], *, last: bool = True) -> tuple[str, tuple[str, ...]]:
    """Where ``path`` leads inside a tree, and the links it passes; the last part need not exist.

    ``get`` gives what stands at a path exactly. With ``last`` a link at the path itself is followed too. Raises
    ValueError when links go in circles.
    """
    todo = [part for part in path.split("/") if part not in ("", ".")][::-1]
    done = ""
    passed: list[str] = []
    while todo:
        part = todo.pop()
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        here = f"{done}/{part}"
        entry = get(here)
        if entry is None or entry.kind != "link" or not (todo or last):
            done = here
            continue
        passed.append(here)
        if len(passed) > MAX_LINKS:
            raise ValueError("links go in circles")
        if entry.target.startswith("/"):
            done = ""
        todo += [p for p in entry.target.split("/") if p not in ("", ".")][::-1]
    return done or "/", tuple(passed)
