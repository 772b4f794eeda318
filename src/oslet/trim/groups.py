"""The entries of a world by what they stay by: their package's data, a language, or each for itself. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oslet.model.tree import Entry
from oslet.trim.rules import DATA, EACH, Kind, kinds
from oslet.trim.world import Edge, World

PYTHON, PROGRAMS = "python", ("program", "helper")
"""Kinds that this module knows by name: Python's modules tell what they import, and programs can be executed."""


class Groups:
    """Which entries stay together, and which each for itself."""

    def __init__(self, world: World) -> None:
        self.own: dict[str, list[Entry]] = {}
        self.data: dict[str, list[Entry]] = {}
        self.languages: dict[str, list[Entry]] = {}
        self.code: set[str] = set()
        self.features: dict[str, list[str]] = {}
        for path, feature in world.each.items():
            self.features.setdefault(feature, []).append(path)
        self._licences: dict[str, list[Entry]] = {}
        self._kinds: dict[str, Kind] = {}
        self._links: list[tuple[str, str]] = []
        self._places, self._each = world.places, world.each
        folders: dict[str, set[str]] = {}
        for entry in world.places.entries.values():
            origin = world.owners.get(entry.path, entry.origin)
            kind = self._kinds[entry.path] = self._kind(entry, world)
            self.own.setdefault(origin, []).append(entry)
            self._sort(entry, origin, kind, world)
            folder = entry.path.rpartition("/")[0] if entry.kind != "dir" else ""
            while folder and origin not in folders.setdefault(folder, set()):
                folders[folder].add(origin)
                folder = folder.rpartition("/")[0]
        self.shared = {folder for folder, origins in folders.items() if len(origins) > 1 or folder.count("/") < 2}

    def _kind(self, entry: Entry, world: World) -> Kind:
        """A link is of the kind of what it leads to; what lies among programs and is none is data."""
        if entry.kind == "dir":
            return DATA
        path = entry.path
        if entry.kind == "link" and (end := world.places.at(path)) is not None and end.kind == "file":
            self._links.append((path, end.path))
            entry, path = end, end.path
        kind = next((kind for kind in kinds() if kind.paths.fullmatch(path)), DATA)
        if kind.name in PROGRAMS and not entry.program:
            return DATA
        if kind.name == PYTHON and world.lean:
            return EACH if path.endswith((".py", ".so")) else DATA
        return kind

    def _sort(self, entry: Entry, origin: str, kind: Kind, world: World) -> None:
        if kind.effect == "each" and entry.kind == "file":
            self.code.add(origin)
        if entry.path in world.each or kind.effect == "each":
            return
        if kind.effect == "licence":
            self._licences.setdefault(origin, []).append(entry)
        elif kind.effect == "language":
            self.languages.setdefault(kind.name, []).append(entry)
        elif entry.kind != "dir" or entry.path not in world.places.below:
            self.data.setdefault(origin, []).append(entry)

    def kind(self, entry: Entry) -> Kind:
        return self._kinds[entry.path]

    def is_data(self, entry: Entry) -> bool:
        """Whether a folder that is named may bring the entry: no program, none that stays for its own sake alone."""
        leads_to = self._places.at(entry.path)
        program = leads_to is not None and leads_to.program
        return self._kinds[entry.path].effect == "data" and not program and self._each.get(entry.path) != ""

    def licences(self, origin: str, by: str) -> Iterator[Edge]:
        for entry in self._licences.pop(origin, ()):
            yield Edge(entry.path, by, f"is of {origin}, whose licence this is (Debian Policy 12.5)")

    def second_names(self, kept: Mapping[str, Edge]) -> Iterator[Edge]:
        """Links that lead to what stays anyway, in packages of which something stays."""
        for path, end in self._links:
            if path not in kept and end in kept:
                yield Edge(path, end, "is what this link leads to")
