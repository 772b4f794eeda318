"""The layers of a foreign image → the one file system that they make, its files as objects of the store.

Layers apply as the OCI image specification says (layer.md): what comes later replaces, ``.wh.NAME`` takes away what
lower layers have of that name, ``.wh..wh..opq`` all that they have in its folder. Links in a member's folder are
followed within the tree, as an engine that unpacks layer upon layer does; nothing is written but objects by digest, so
no path can leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from oslet.errors import IntegrityError
from oslet.formats.layer import Unpacked, most
from oslet.formats.tar import Limits, Member, read
from oslet.model.tree import Entry, follow
from oslet.store import Store

Progress: TypeAlias = Callable[[str, int, int], None]

MAX_MEMBERS = 500_000
MAX_SIZE = 16 << 30
MAX_TEXT = 128 << 20
"""Members of all layers together, bytes of their files, and characters of their paths and links."""
MAX_STEPS = 20_000_000
"""Paths that whiteouts may look at: a real image's look at each path once or twice."""
MAX_ID = 0xFFFFFFFE
_HEADERS = 64 << 20
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_AUFS = ".wh..wh."
_CAPABILITY = "security.capability"


class Stacked(NamedTuple):
    """One layer: its blob, how that is compressed, and the sha256 of the tar within."""

    path: Path
    compression: str
    diff: str


class Flat(NamedTuple):
    """The final file system: its entries by path (no origin yet), the files that had capabilities, and when each
    Python source was last changed (POSIX seconds), which its byte code is held against."""

    entries: tuple[Entry, ...]
    capabilities: tuple[str, ...]
    changed: dict[str, int]


def flatten(store: Store, layers: Sequence[Stacked], *, where: str, progress: Progress | None = None) -> Flat:
    """What ``layers``, lowest first, make together. IntegrityError at ``where`` and the member for what isn't sound."""
    stack = _Stack(store, where)
    with store.writing():
        for number, layer in enumerate(layers):
            if progress:
                progress("unpacking layers", number, len(layers))
            stack.apply(layer, f"{where}: layer {number + 1}")
    entries = tuple(stack.entries[path] for path in sorted(stack.entries))
    capable = tuple(sorted(path for path in stack.capable if path in stack.entries))
    return Flat(entries, capable, {path: at for path, at in stack.changed.items() if path in stack.entries})


class _Stack:
    """A file system in memory. No entry stands below one that is no folder."""

    def __init__(self, store: Store, where: str) -> None:
        self.entries: dict[str, Entry] = {}
        self.capable: set[str] = set()
        self.changed: dict[str, int] = {}
        self._store = store
        self._where = where
        self._below: dict[str, set[str]] = {}  # a folder's names
        self._here: set[str] = set()  # what the current layer brought: its own whiteouts spare that
        self._hidden: set[str] = set()
        self._members = MAX_MEMBERS
        self._size = MAX_SIZE
        self._text = MAX_TEXT
        self._steps = MAX_STEPS

    def apply(self, layer: Stacked, where: str) -> None:
        self._here, self._hidden, self._where = set(), set(), where
        limit = self._size + _HEADERS + 2048 * self._members
        with layer.path.open("rb") as file:
            if layer.compression != "none":
                limit = min(limit, most(layer.path.stat().st_size))
            tar = Unpacked(file, layer.compression, limit=limit, where=where)
            limits = Limits(members=self._members, size=self._size)
            for member, chunks in read(tar, where=where, limits=limits, pass_special=True):
                self._members -= 1
                self._size -= member.size
                self._text -= len(member.path) + len(member.target)
                if self._members < 0 or self._text < 0:
                    raise IntegrityError("more paths than an image may have", where=where)
                self._take(member, chunks)
            tar.finish(layer.diff)

    def _take(self, member: Member, chunks: Iterator[bytes]) -> None:
        *folders, name = member.path[1:].split("/")
        if any(folder.startswith(_WHITEOUT) for folder in folders):
            if any(folder.startswith(_AUFS) for folder in folders):
                return  # what aufs kept for itself
            raise self._error("a whiteout that holds something", member.path)
        if name == _OPAQUE:
            self._hide(self._folder("/" + "/".join(folders)), itself=False)
        elif name.startswith(_AUFS):
            return
        elif name.startswith(_WHITEOUT):
            gone = name.removeprefix(_WHITEOUT)
            if gone in ("", ".", ".."):
                raise self._error("a whiteout of nothing", member.path)
            self._hide(self._join(self._folder("/" + "/".join(folders)), gone), itself=True)
        elif name:
            self._put(member, self._join(self._folder("/" + "/".join(folders)), name), chunks)

    def _put(self, member: Member, path: str, chunks: Iterator[bytes]) -> None:
        if max(member.uid, member.gid) > MAX_ID:
            raise self._error("an owner that no system has", member.path)
        self.capable.discard(path)
        if member.kind == "file":
            digest, size = self._store.put_stream(chunks, member.mode)
            entry = Entry(path, "file", member.mode, member.uid, member.gid, size, digest)
            if any(name == _CAPABILITY for name, _ in member.xattrs):
                self.capable.add(path)
            if path.endswith(".py"):
                self.changed[path] = member.mtime
        elif member.kind == "hardlink":
            entry = self._linked(member, path)
        else:
            mode = 0o777 if member.kind == "link" else member.mode
            entry = Entry(path, member.kind, mode, member.uid, member.gid, target=member.target)
        self._make_folders(path)
        if entry.kind != "dir" and path in self._below:
            self._remove(path)
        self._add(entry)

    def _linked(self, member: Member, path: str) -> Entry:
        """A hard link shares owner, mode and content with what stands at its target by now."""
        folder, _, name = member.target.rpartition("/")
        at = self._join(self._folder(folder or "/"), name)
        first = self.entries.get(at)
        if first is None or first.kind == "dir":
            raise self._error(f"a hard link to {member.target}, which is no file", member.path)
        if at in self.changed:
            self.changed[path] = self.changed[at]
        return Entry(path, first.kind, first.mode, first.uid, first.gid, first.size, first.digest, first.target)

    def _folder(self, path: str) -> str:
        """Where a folder really is: links in its path followed."""
        found = self.entries.get(path)
        if path == "/" or (found is not None and found.kind == "dir"):
            return path
        try:
            return follow(path, self.entries.get)[0]
        except ValueError as error:
            raise self._error(str(error), path) from None

    def _make_folders(self, path: str) -> None:
        """Folders that no layer has: an engine makes them, root's and open to all."""
        missing = []
        folder = path.rpartition("/")[0]
        while folder and folder not in self.entries:
            missing.append(folder)
            folder = folder.rpartition("/")[0]
        if folder and self.entries[folder].kind != "dir":
            raise self._error(f"stands below {folder}, which is no folder", path)
        self._text -= sum(map(len, missing))
        self._members -= len(missing)
        for each in reversed(missing):
            self._add(Entry(each, "dir", 0o755))

    def _add(self, entry: Entry) -> None:
        self.entries[entry.path] = entry
        self._here.add(entry.path)
        folder, _, name = entry.path.rpartition("/")
        self._below.setdefault(folder or "/", set()).add(name)

    def _hide(self, path: str, *, itself: bool) -> None:
        """Takes away what lower layers have at ``path`` (if ``itself``) and below it."""
        if path in self._hidden:
            return
        self._hidden.add(path)
        gone = [each for each in self._under(path) if each not in self._here]
        if itself and path in self.entries and path not in self._here:
            gone.append(path)
        for each in sorted(gone, reverse=True):
            if not self._below.get(each):  # else it holds what this layer brought
                self._drop(each)

    def _remove(self, path: str) -> None:
        for each in sorted(self._under(path), reverse=True):
            self._drop(each)
        del self._below[path]

    def _under(self, path: str) -> list[str]:
        found: list[str] = []
        todo = [path]
        while todo:
            folder = todo.pop()
            for name in self._below.get(folder, ()):
                self._steps -= 1
                if self._steps < 0:
                    raise self._error("more whiteouts than an image may have", path)
                child = self._join(folder, name)
                found.append(child)
                if child in self._below:
                    todo.append(child)
        return found

    def _drop(self, path: str) -> None:
        del self.entries[path]
        self._below.pop(path, None)
        folder, _, name = path.rpartition("/")
        self._below[folder or "/"].discard(name)

    @staticmethod
    def _join(folder: str, name: str) -> str:
        return f"/{name}" if folder == "/" else f"{folder}/{name}"

    def _error(self, what: str, path: str) -> IntegrityError:
        return IntegrityError(what, where=f"{self._where}: {path[:200]}")
