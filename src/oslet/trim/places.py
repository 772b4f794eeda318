"""A tree to look things up in: by path, by name, by folder. Pure, and quick for a hundred thousand entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oslet.model.tree import Entry, follow

PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class Places:
    """The entries of a tree by path, by last name and by folder; ``path`` are folders of programs beside the usual."""

    def __init__(self, entries: Iterable[Entry], path: Iterable[str] = ()) -> None:
        self.path = tuple(dict.fromkeys((*path, *PATH)))
        self.entries = {e.path: e for e in entries}
        self.by_name: dict[str, list[str]] = {}
        self.below: dict[str, list[str]] = {}
        for path in self.entries:
            folder, _, name = path.rpartition("/")
            self.by_name.setdefault(name, []).append(path)
            self.below.setdefault(folder or "/", []).append(path)

    def get(self, path: str) -> Entry | None:
        return self.entries.get(path)

    def trail(self, path: str) -> tuple[str, tuple[str, ...]]:
        """Where ``path`` leads, and the links passed; what goes in circles leads nowhere."""
        try:
            return follow(path, self.entries.get)
        except ValueError:
            return "", ()

    def at(self, path: str) -> Entry | None:
        """What ``path`` leads to, links followed."""
        return self.entries.get(self.trail(path)[0])

    def program(self, word: str) -> str:
        """The path that a program's name or path means on the usual PATH; empty when there is none."""
        if word.startswith("/"):
            found = self.at(word)
            return word if found is not None and found.program else ""
        if "/" in word:
            return ""
        for path in self.by_name.get(word, ()):
            folder = path.rpartition("/")[0]
            if folder in self.path and (found := self.at(path)) is not None and found.program:
                return path
        return ""

    def inside(self, folder: str) -> Iterator[Entry]:
        """Everything below ``folder``, in no order."""
        todo = [folder]
        while todo:
            for path in self.below.get(todo.pop(), ()):
                entry = self.entries[path]
                yield entry
                if entry.kind == "dir":
                    todo.append(path)
