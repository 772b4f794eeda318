"""A world for trimming on one screen: packages with files, what each file says, and what the declaration names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oslet.model.lock import Lock, Package, Wheel
from oslet.model.oslet import File, Level, Policy, Start, Template
from oslet.model.tree import Entry, Tree
from oslet.trim.asked import Asked
from oslet.trim.cut import Given, cut
from oslet.trim.evidence import NONE, Evidence

LIB = "/usr/lib/x86_64-linux-gnu"


def elf(*needed: str, **more: Any) -> Evidence:
    """What a program or library says that links ``needed``."""
    return Evidence(machine="x86-64", needed=needed, **more)


class World:
    """Packages of files; a path that ends in ``/`` is a folder, one with ``->`` a link, one under bin a program."""

    def __init__(self, **packages: Mapping[str, Evidence] | Sequence[str]) -> None:
        self.said: dict[str, Evidence] = {}
        entries: dict[str, Entry] = {}
        for name, files in packages.items():
            origin = name.replace("__", ":").replace("_", "-")
            for spelled in files:
                path, _, target = spelled.partition(" -> ")
                folder, _, _ = path.rstrip("/").rpartition("/")
                while folder and folder not in entries:
                    entries[folder] = Entry(folder, "dir", 0o755, origin=origin)
                    folder = folder.rpartition("/")[0]
                if path.endswith("/"):
                    entries[path[:-1]] = Entry(path[:-1], "dir", 0o755, origin=origin)
                elif target:
                    entries[path] = Entry(path, "link", 0o777, target=target, origin=origin)
                else:
                    mode = 0o755 if "bin/" in path else 0o644
                    entries[path] = Entry(path, "file", mode, size=10, digest=path, origin=origin)
                if isinstance(files, Mapping):
                    self.said[path] = files[spelled]
        self.tree = Tree(tuple(entries[path] for path in sorted(entries)))

    def cut(
        self,
        *named: str,
        command: Sequence[str] = (),
        trim: Level = "safe",
        keep: Sequence[str] = (),
        features: Mapping[str, Any] | None = None,
        needs: Mapping[str, Sequence[str]] | None = None,
        template: str = "",
        wheels: Mapping[str, str] | None = None,
        python: str = "",
    ) -> Tree:
        """The tree cut for a declaration that names packages and a command; ``needs`` are the packages' relations and
        ``wheels`` map a distribution to the one that needs it."""
        origins = dict.fromkeys(e.origin for e in self.tree.entries)
        plain = [o for o in origins if ":" not in o and o != "files"]
        needed = [Package(n, "1", "amd64", "", "", 1, "0" * 64, "", n) for n in named if n in plain]
        needed += [Package(n, "1", "amd64", "", "", 1, "0" * 64, "someone", n) for n in plain if n not in named]
        locked = [Wheel(n, "1", "", 1, "0" * 64, by, n) for n, by in (wheels or {}).items()]
        given = Given(
            asked=Asked(Start(command=tuple(command)), (File("/etc/x", Template("x", template)),) if template else ()),
            policy=Policy(trim=trim, keep=tuple(keep), features=tuple(sorted((features or {}).items()))),
            lock=Lock("", "trixie", "amd64", python, tuple(needed), tuple(locked)),
            relations={name: tuple(others) for name, others in (needs or {}).items()},
            linked=(LIB,),
            read=lambda entry: self.said.get(entry.path, NONE),
        )
        return cut(self.tree, given)


def files(tree: Tree) -> set[str]:
    """What isn't a folder."""
    return {e.path for e in tree.entries if e.kind != "dir"}


def said(tree: Tree, path: str) -> str:
    """The reason of one path, kept or not, with the path that it was found in."""
    entry = next(e for e in (*tree.entries, *tree.dropped) if e.path == path)
    return f"{entry.by} {entry.reason}".strip()
