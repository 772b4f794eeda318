"""Reach: which paths of a tree something that stays needs, each with its evidence. Pure.

A graph walked breadth first from what the declaration names, so that each path has its shortest chain. What evidence
there is in a file says ``evidence``; by what each kind of file stays says ``rules/kinds.toml``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from oslet.trim.asked import Ask, Asked, asks
from oslet.trim.evidence import Evidence
from oslet.trim.groups import PYTHON, Groups
from oslet.trim.linker import expand
from oslet.trim.rules import blinds, kinds, startup
from oslet.trim.world import Edge, World

DEEP = 3
"""Segments of a folder that names something (``/usr/share/vim``), and not a place for everything (``/usr/share``)."""


class Reach:
    """The walk. ``edges`` are the first reason of each path that stays, in the order found."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.edges: dict[str, Edge] = {}
        self.in_use: dict[str, str] = {}
        self._todo: deque[str] = deque()
        self._data: deque[Edge] = deque()
        self._groups = Groups(world)
        self._languages: set[str] = set()
        self._later: list[Edge] = []
        self._quiet = False
        self._silent: set[str] = set()

    def walk(self, asked: Asked) -> dict[str, Edge]:
        """Every path that stays, with its first reason."""
        for edge in self._roots(asked):
            self.keep(edge)
        self._drain()
        # What the application imports is known now. The rest of Python's library stays for names that only running
        # tells; what it could import itself is no evidence.
        self._quiet = True
        for edge in self._later:
            self.keep(edge)
        self._drain()
        for edge in list(self._groups.second_names(self.edges)):
            self.keep(edge)
        return self.edges

    def into(self, path: str) -> list[Edge]:
        """After the walk: every reason why ``path`` stays, the first one first."""
        found = [self.edges[path]] if path in self.edges else []
        for other in list(self.edges):
            for edge in self.from_path(other):
                end, links = self.world.places.trail(edge.path)
                if path in (end, *links) and edge.by != path:
                    found.append(Edge(path, edge.by, edge.reason))
        return list(dict.fromkeys(found))

    def _drain(self) -> None:
        while self._todo or self._data:
            if not self._todo:  # what a file asks for comes before what merely belongs to a package in use
                self.keep(self._data.popleft())
                continue
            for edge in self.from_path(self._todo.popleft()):
                self.keep(edge)

    def keep(self, edge: Edge) -> None:
        """Keep what ``edge`` leads to, and the links on the way there."""
        places = self.world.places
        end, links = places.trail(edge.path)
        by = edge
        for link in links:
            if link not in self.edges:
                self.edges[link] = Edge(link, by.by, by.reason)
                self._todo.append(link)
            leads_to = places.at(link)
            if leads_to is None or leads_to.kind != "dir":  # a folder's link asks for nothing behind it
                by = Edge(end, link, "is a link there")
        if end not in self.edges and places.get(end) is not None:
            self.edges[end] = Edge(end, by.by, by.reason)
            self._todo.append(end)
            if self._quiet:
                self._silent.add(end)

    # Roots

    def _roots(self, asked: Asked) -> Iterator[Edge]:
        for path, reason in self.world.forced.items():
            yield Edge(path, "", reason)
        for ask in asks(asked):
            yield from self._asked(ask)
        if self.world.lean:
            yield from self._startup()
        for origin, why in self.world.named.items():
            for entry in self._groups.own.get(origin, ()):
                if entry.kind != "dir" and entry.path not in self.world.each:
                    yield Edge(entry.path, "", entry.reason if entry.origin != origin else why)
            self._data.extend(self._used(origin, ""))

    def _asked(self, ask: Ask) -> Iterator[Edge]:
        places = self.world.places
        if ask.kind == "module":
            for name in (ask.what, f"{ask.what}.__main__"):
                yield from (Edge(path, "", ask.reason) for path, _ in self.world.modules.find(name, ""))
        elif ask.kind == "plugin":
            yield from self._plugins((ask.what,), "", ask.reason.removesuffix(" it"))
        elif ask.kind == "path":
            yield from (edge._replace(by="") for edge in self._path(ask.what, "", ask.reason))
        elif path := places.program(ask.what):
            yield Edge(path, "", ask.reason)
        elif ask.kind == "command" and places.at(ask.what):
            yield Edge(ask.what, "", ask.reason)

    # What a kept path needs

    def from_path(self, path: str) -> Iterator[Edge]:
        """The edges out of one path that stays."""
        entry = self.world.places.entries[path]
        if entry.kind == "dir":
            return
        origin = self.world.owners.get(path, entry.origin)
        if entry.kind == "link":
            yield Edge(path, path, "is a link there")
        if feature := self.world.each.get(path):
            for other in self._groups.features.pop(feature, ()):
                yield Edge(other, path, f"is of the feature {feature}, as this is")
        kind = self._groups.kind(entry)
        if entry.kind == "file":
            evidence = self.world.read(entry)
            yield from self._of_elf(path, evidence)
            yield from self._of_texts(path, evidence)
            yield from self._of_modules(path, evidence)
            yield from self._plugins(evidence.plugins, path, "names")
            yield from self._languages_of(path, evidence)
        if kind.effect in ("each", "language"):
            self._data.extend(self._used(origin, path))
        yield from self._groups.licences(origin, path)

    def _of_elf(self, path: str, evidence: Evidence) -> Iterator[Edge]:
        find = self.world.linker.find
        if evidence.interpreter:
            word = evidence.interpreter[0]
            how = "is started by it (PT_INTERP)" if evidence.machine else f"begins #!{' '.join(evidence.interpreter)}"
            yield Edge(word, path, how)
            if word.endswith("/env"):
                for other in evidence.interpreter[1:]:
                    if program := self.world.places.program(other):
                        yield Edge(program, path, how)
        inherited = self._inherited(path) if evidence.needed else ()
        for name in evidence.needed:
            found, how = find(name, path, evidence, inherited)
            if found:
                yield Edge(found, path, f"links {name} (DT_NEEDED), found by {how}")
                for variant in self.world.linker.variants(found):
                    yield Edge(variant, path, f"links {name}, of which this is a build for later processors")
                continue
            for other in self.world.places.by_name.get(name.rpartition("/")[2], ()):
                yield Edge(other, path, f"links {name} (DT_NEEDED), which is in none of the linker's folders")
        for name in dict.fromkeys((*evidence.notes, *evidence.loads)):
            if name in evidence.needed or name == evidence.soname:
                continue
            how = "(.note.dlopen)" if name in evidence.notes else "(dlopen: it holds the name)"
            found, _ = find(name, path, evidence, inherited)
            if found:
                yield Edge(found, path, f"may load {name} {how}")

    def _plugins(self, names: Iterable[str], by: str, who: str) -> Iterator[Edge]:
        for name in names:
            for path in self.world.places.by_name.get(name, ()):
                yield Edge(path, by, f"{who} {name}")

    def _inherited(self, path: str) -> tuple[str, ...]:
        """The DT_RPATH folders of those that brought ``path`` in, nearest first (ld.so(8))."""
        found: list[str] = []
        for _ in range(16):
            edge = self.edges.get(path)
            if edge is None or not edge.by:
                break
            path = edge.by
            entry = self.world.places.entries[path]
            if entry.kind == "file" and ((above := self.world.read(entry)).rpath and not above.runpath):
                found += expand(above.rpath, path.rpartition("/")[0], above.machine)
        return tuple(dict.fromkeys(found))

    def _of_texts(self, path: str, evidence: Evidence) -> Iterator[Edge]:
        unseen = [blind for blind in blinds() if blind.source.fullmatch(path)]
        for text in evidence.paths:
            for edge in self._path(text, path, f"names {text}"):
                if not any(blind.to.fullmatch(self.world.places.trail(edge.path)[0]) for blind in unseen):
                    yield edge
        for word in evidence.commands:
            yield from self._command(word, path)
        for word in evidence.helpers:
            if (program := self.world.places.program(word)) and not self._beside(program, path):
                yield Edge(program, path, f"may run {word}")
        calls = set(evidence.calls).difference(*(blind.calls for blind in unseen))
        if calls & {"system", "popen", "wordexp"}:
            yield from self._shell(path, f"calls {min(calls & {'system', 'popen', 'wordexp'})}(3), which runs /bin/sh")
        if evidence.shell and not unseen:
            yield from self._shell(path, "runs a shell (shell=True, os.system or the like)")

    def _path(self, text: str, by: str, reason: str) -> Iterator[Edge]:
        """What an absolute path in a text means: that file; of a folder, the data in it. Of a folder that packages
        share, the data of those packages alone that the one of ``by`` depends on."""
        places, groups = self.world.places, self._groups
        end, _ = places.trail(text)
        entry = places.get(end)
        if entry is None:
            return
        yield Edge(text, by, reason)
        if entry.kind != "dir" or (end in groups.shared and end.count("/") < DEEP):
            return
        shared = end in groups.shared
        among = self.world.relations.get(places.entries[by].origin, ()) if shared and by else ()
        for inner in places.inside(end):
            if (not shared or inner.origin in among) and inner.kind != "dir" and groups.is_data(inner):
                yield Edge(inner.path, by, reason)

    def _beside(self, one: str, other: str) -> bool:
        """Whether two paths come from the same package: its programs tell each other's names to people."""
        entries = self.world.places.entries
        return entries[one].origin == entries[other].origin

    def _command(self, word: str, path: str) -> Iterator[Edge]:
        places = self.world.places
        if program := places.program(word):
            yield Edge(program, path, f"may run {word}")
        elif word.startswith("lib") and word.endswith(".so"):
            for name in [n for n in places.by_name if n.startswith(f"{word}.") or n == word]:
                yield from (Edge(p, path, f"looks for {word} (find_library)") for p in places.by_name[name])
        else:
            for other in places.by_name.get(word, ()):
                if other.rpartition("/")[0].endswith("bin") and (found := places.at(other)) and found.program:
                    yield Edge(other, path, f"may run {word}")

    def _shell(self, path: str, reason: str) -> Iterator[Edge]:
        if self.world.places.at("/bin/sh"):
            yield Edge("/bin/sh", path, reason)

    # Python

    def _startup(self) -> Iterator[Edge]:
        for name in startup():
            for path, module in self.world.modules.find(name, ""):
                yield Edge(path, "", f"Python imports {module} at every start")

    def _of_modules(self, path: str, evidence: Evidence) -> Iterator[Edge]:
        if path in self._silent:
            return
        for found, module, how in imports(self.world, path, evidence):
            yield Edge(found, path, f"{how} {module}")

    # Packages and languages

    def _used(self, origin: str, by: str) -> Iterator[Edge]:
        """``origin``'s data, now that ``by``, a program or library of it, stays; and that of packages of data only
        which it depends on."""
        todo = [(origin, f"is of {origin}, whose data this is")]
        while todo:
            name, why = todo.pop(0)
            if name in self.in_use:
                continue
            self.in_use[name] = by
            for entry in self._groups.data.get(name, ()):
                yield Edge(entry.path, by, why)
            for other in self.world.relations.get(name, ()):
                if other not in self._groups.code:
                    todo.append((other, f"{f'is of {name}, which' if by else name} needs the data of {other}"))

    def _languages_of(self, path: str, evidence: Evidence) -> Iterator[Edge]:
        for kind in kinds():
            if kind.effect != "language" or kind.name in self._languages:
                continue
            calls = set(evidence.calls) & kind.calls
            if not calls and not kind.by.fullmatch(path):
                continue
            if calls and any(b.source.fullmatch(path) and calls <= b.calls for b in blinds()):
                continue
            self._languages.add(kind.name)
            edges = [Edge(e.path, path, kind.reason) for e in self._groups.languages.get(kind.name, ())]
            if kind.name == PYTHON:
                self._later = edges
            else:
                yield from edges


def imports(world: World, path: str, evidence: Evidence) -> Iterator[tuple[str, str, str]]:
    """The modules that the file at ``path`` leads to: each one's path and name, and how."""
    unseen = [blind for blind in blinds() if blind.source.fullmatch(path)]
    names = [(name, "imports") for name in evidence.imports]
    if world.modules.names(path) and not any(blind.mentions for blind in unseen):
        names += [(name, "may import, by its name,") for name in evidence.mentions]
    for name, how in names:
        for found, module in world.modules.find(name, path):
            if not any(blind.imports.fullmatch(module) for blind in unseen):
                yield found, module, how
