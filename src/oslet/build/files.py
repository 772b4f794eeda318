"""The growing tree of a build: path → Entry, with the texts of made files kept in the store."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from oslet.errors import BuildError
from oslet.model.tree import MAX_PATH, Entry, Tree, follow, standable

MAX_MATCHES = 50_000
"""Paths that one pattern may match: more than most images hold."""


class Objects(Protocol):
    """What a build asks of the store: contents by digest."""

    def put(self, data: bytes, mode: int = 0o644) -> str: ...

    def read(self, digest: str, limit: int = 64 << 20) -> bytes: ...

    def object(self, digest: str, mode: int | None = None) -> Path: ...

    def lay_down(self, tree: Tree) -> Path: ...


class Files:
    """A file system in memory. Paths are absolute; the root folder itself is not an entry.

    Writing verbs go through links in a path's *folder* (``/var/run/x`` stands at ``/run/x``), replace what stands at
    the path itself, and make missing parents with the same origin and reason.
    """

    def __init__(self, store: Objects, entries: Iterable[Entry], dropped: Iterable[Entry] = ()) -> None:
        self.store = store
        self._entries: dict[str, Entry] = {e.path: e for e in entries if e.path != "/"}
        self._dropped: list[Entry] = list(dropped)
        self._children: dict[str, set[str]] | None = None
        for entry in list(self._entries.values()):
            self._make_parents(entry.path, entry.origin, f"holds {entry.path}")

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def get(self, path: str) -> Entry | None:
        """What stands at ``path`` exactly; follows no link."""
        return self._entries.get(path)

    def resolve(self, path: str) -> str:
        """The path that ``path`` leads to inside the tree, links followed; the last part need not exist.

        Raises BuildError when links go in circles.
        """
        return self._follow(path, last=True)

    def at(self, path: str) -> Entry | None:
        """What ``path`` leads to, links followed; None when nothing does."""
        entry = self._entries.get(path)
        return entry if entry is not None and entry.kind != "link" else self._entries.get(self.resolve(path))

    def is_file(self, path: str) -> bool:
        entry = self.at(path)
        return entry is not None and entry.kind == "file"

    def is_dir(self, path: str) -> bool:
        if self.resolve(path) == "/":
            return True
        entry = self.at(path)
        return entry is not None and entry.kind == "dir"

    def names(self, folder: str) -> list[str]:
        """The names in ``folder`` (links followed), sorted; empty when it is no folder."""
        if self._children is None:
            self._children = {}
            for path in self._entries:
                head, _, tail = path.rpartition("/")
                self._children.setdefault(head or "/", set()).add(tail)
        return sorted(self._children.get(self.resolve(folder), ()))

    def glob(self, pattern: str) -> list[str]:
        """The paths that a shell's ``*``, ``?`` and ``[…]`` would find, sorted; hidden names only when asked for."""
        if len(pattern) > MAX_PATH:
            raise BuildError(f"a pattern of over {MAX_PATH} characters", where=pattern[:200])
        found = [""]
        for part in pattern.strip("/").split("/"):
            if not any(c in part for c in "*?["):
                found = [f"{base}/{part}" for base in found]
                continue
            found = [
                f"{base}/{name}"
                for base in found
                for name in self.names(base or "/")
                if fnmatch.fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))
            ]
            if len(found) > MAX_MATCHES:  # a link to a folder above it multiplies them
                raise BuildError(f"the pattern matches more than {MAX_MATCHES} paths", where=pattern[:200])
        return [path for path in found if path in self._entries or self.at(path) is not None]

    def data(self, path: str) -> bytes:
        """The bytes of the file that ``path`` leads to. Raises BuildError when there is none."""
        entry = self.at(path)
        if entry is None or entry.kind != "file":
            raise BuildError("no such file in the image", where=path)
        return self.store.read(entry.digest)

    def text(self, path: str) -> str:
        return self.data(path).decode("utf-8", "replace")

    def put(
        self, path: str, data: bytes, *, mode: int = 0o644, uid: int = 0, gid: int = 0, origin: str, reason: str
    ) -> None:
        """A file with this content at ``path``."""
        digest = hashlib.sha256(data).hexdigest()
        old = self._entries.get(self._follow(path, last=False))
        if old is None or old.digest != digest:
            digest = self.store.put(data, mode)
        self.place(Entry(path, "file", mode, uid, gid, len(data), digest, "", origin, reason))

    def mkdir(
        self, path: str, *, mode: int = 0o755, uid: int = 0, gid: int = 0, origin: str, reason: str, keep: bool = False
    ) -> None:
        """A folder at ``path``; with ``keep``, one that is there already (a link to one counts) stays as it is."""
        if (keep and self.is_dir(path)) or self.resolve(path) == "/":
            return
        old = self.at(path)
        if old is not None and old.kind == "dir":
            path = old.path
        self.place(Entry(path, "dir", mode, uid, gid, 0, "", "", origin, reason))

    def link(self, path: str, target: str, *, origin: str, reason: str) -> None:
        """A symbolic link at ``path``, its target as written."""
        self.place(Entry(path, "link", 0o777, 0, 0, 0, "", target, origin, reason))

    def own(
        self, path: str, uid: int | None = None, gid: int | None = None, mode: int | None = None, *, reason: str = ""
    ) -> None:
        """Change owner, group or permission bits of what ``path`` leads to. Raises BuildError when nothing does."""
        entry = self.at(path)
        if entry is None:
            raise BuildError("no such file in the image", where=path)
        self._entries[entry.path] = replace(
            entry,
            uid=entry.uid if uid is None else uid,
            gid=entry.gid if gid is None else gid,
            mode=entry.mode if mode is None else mode,
            reason="; ".join(dict.fromkeys(filter(None, (*entry.reason.split("; "), reason)))),
        )

    def own_exactly(self, path: str, uid: int, gid: int) -> None:
        """Change the owner of what stands at ``path`` itself, a link's too."""
        self._entries[path] = replace(self._entries[path], uid=uid, gid=gid)

    def place(self, entry: Entry) -> None:
        """Put ``entry`` at its path, instead of what stands there. Raises BuildError for a folder that isn't empty."""
        path = self._follow(entry.path, last=False)
        if not standable(replace(entry, path=path)):
            raise BuildError(
                "a name or link that no file system can hold", where=f"{ascii(path)[:200]} ({entry.origin})"
            )
        old = self._entries.get(path)
        if old is not None and old.kind == "dir" and entry.kind != "dir" and self.names(path):
            raise BuildError(
                f"a {entry.kind} would replace a folder that isn't empty", where=f"{path} ({entry.origin})"
            )
        self._make_parents(path, entry.origin, entry.reason)
        self._add(entry if path == entry.path else replace(entry, path=path))

    def remove(self, path: str, reason: str) -> None:
        """Leave out ``path`` and all below it; what a package brought is remembered as dropped, for this reason."""
        path = self._follow(path, last=False)
        if path not in self._entries:
            return
        below = [p for p in self._entries if p.startswith(f"{path}/")] if self._entries[path].kind == "dir" else []
        for victim in (path, *below):
            entry = self._entries.pop(victim)
            if self._children is not None:
                head, _, tail = victim.rpartition("/")
                self._children.get(head or "/", set()).discard(tail)
            if not entry.origin.startswith("made:"):
                self._dropped.append(replace(entry, reason=reason, by=""))

    def omit(self, entry: Entry) -> None:
        """Remember ``entry``, which never stood here, as left out for its reason."""
        self._dropped.append(entry)

    def tree(self) -> Tree:
        """The tree as a value: sorted by path, every parent there, what was left out included."""
        dropped = {d.path: d for d in self._dropped if d.path not in self._entries}
        return Tree(
            tuple(self._entries[path] for path in sorted(self._entries)),
            tuple(dropped[path] for path in sorted(dropped)),
        )

    def _add(self, entry: Entry) -> None:
        self._entries[entry.path] = entry
        if self._children is not None:
            head, _, tail = entry.path.rpartition("/")
            self._children.setdefault(head or "/", set()).add(tail)

    def _make_parents(self, path: str, origin: str, reason: str) -> None:
        head = path.rpartition("/")[0]
        while head and head not in self._entries:
            self._add(Entry(head, "dir", 0o755, origin=origin, reason=reason))
            head = head.rpartition("/")[0]
        if head and self._entries[head].kind == "file":
            raise BuildError(f"{head} is a file, so nothing can stand at {path}", where=origin)

    def _follow(self, path: str, *, last: bool) -> str:
        try:
            return follow(path, self._entries.get, last=last)[0]
        except ValueError as error:
            raise BuildError(str(error), where=path) from None
