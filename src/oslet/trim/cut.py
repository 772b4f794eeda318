"""Tree → Tree: what stays at the levels "safe" and "lean", with its evidence, and what goes, with the reason. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from oslet.model.lock import Lock
from oslet.model.oslet import Policy
from oslet.model.tree import Entry, Tree
from oslet.trim import because
from oslet.trim.asked import Asked
from oslet.trim.features import Decided, decide
from oslet.trim.imported import OWN, imported
from oslet.trim.linker import Linker
from oslet.trim.modules import Modules, search_path
from oslet.trim.places import Places
from oslet.trim.reach import Reach
from oslet.trim.rules import Rule, globs, rules
from oslet.trim.spared import wanted_by
from oslet.trim.world import Edge, Read, World

SITES = ("site-packages", "dist-packages")
"""The names of folders that Python looks for modules in, wherever they stand (a virtual environment's)."""
CONSOLE_SCRIPTS = "/usr/local/bin/"
_SCRIPT = re.compile(r"([a-z0-9][a-z0-9+.-]*)\.(?:preinst|postinst|config)\b")
_REPLACED = re.compile(r"in place of ([a-z0-9][a-z0-9+.:-]*)'s\b")
_DECLARED = re.compile(r"(/usr/lib/(?:tmpfiles|sysusers)\.d/\S+), line")
BYTE_CODE = "made:bytecode"
REPLACING = ("made:icu", "made:timezones")
"""What steps make in the place of a package's file: it stays by what would have kept that."""


class Given(NamedTuple):
    """What a cut depends on beside the tree: the declaration's roots and policy, the lock, each package's relations
    (``trim.relations``), the folders of the linker's configuration, and what reads files."""

    asked: Asked
    policy: Policy
    lock: Lock
    relations: Mapping[str, tuple[str, ...]]
    linked: Sequence[str]
    read: Read


def cut(tree: Tree, given: Given) -> Tree:
    """The part of ``tree`` that stays at ``given.policy.trim``: all of it at "packages". Twice changes nothing."""
    if given.policy.trim == "packages":
        return tree
    verdict = _Verdict(tree, given)
    looked_at = verdict.world()
    edges = Reach(looked_at).walk(given.asked)
    verdict.byte_code(edges, imported(looked_at, given.asked))
    return verdict.tree(edges)


def world(tree: Tree, given: Given) -> World:
    """What reach looks at when it cuts ``tree``; for those who ask the graph further questions."""
    return _Verdict(tree, given).world()


class _Verdict:
    """Which entries rules and features leave out before anything is walked, and how the rest is told afterwards."""

    def __init__(self, tree: Tree, given: Given) -> None:
        self.given = given
        self.before = tree
        self.owners = dict(_owners(tree.entries))
        self.named = _named(given.lock)
        self.decided: Decided = decide(given.policy.features)
        keep, wanted = globs(given.policy.keep), globs(wanted_by(given.policy.features))
        asked = "the declaration asks for it (features)"
        self.forced = {e.path: asked for e in tree.entries if e.kind != "dir" and wanted.fullmatch(e.path)}
        self.forced |= {e.path: "the declaration keeps it (keep)" for e in tree.entries if keep.fullmatch(e.path)}
        self._force_command(tree)
        self.out: dict[str, str] = {}
        self.each: dict[str, str] = {}
        active = [r for r in rules("safe") if not r.unless & self.named.keys()]
        for entry in tree.entries:
            if entry.path not in self.forced:
                self._judge(entry, active)

    def _force_command(self, tree: Tree) -> None:
        """The command stays even where a rule would leave it out."""
        start = self.given.asked.start
        places = Places(tree.entries, _path(self.given.asked))
        for word in start.command[:1]:
            if path := places.program(word):
                end, links = places.trail(path)
                self.forced |= dict.fromkeys((*links, end), "the declaration's command starts it")

    def _judge(self, entry: Entry, active: Iterable[Rule]) -> None:
        path = entry.path
        origin = self.owners.get(path, entry.origin)
        if origin in OWN:
            return
        for rule in active:
            if (rule.named or origin not in self.named) and rule.leaves_out(path):
                self.out[path] = f"{rule.name}: {rule.reason}"
                return
        for feature, wanted, why in self.decided:
            if feature.paths.fullmatch(path):
                if wanted == "reached":
                    if origin not in self.named:  # you get what you name
                        self.each[path] = feature.name
                elif not wanted:
                    self.out[path] = f"feature {feature.name}: {why}; what it is: {feature.help}"
                else:
                    continue
                return
        if origin.startswith("wheel:") and path.startswith(CONSOLE_SCRIPTS) and entry.kind == "file":
            self.each[path] = ""

    def world(self) -> World:
        entries = [e for e in self.before.entries if e.path not in self.out and e.origin != BYTE_CODE]
        lock, policy = self.given.lock, self.given.policy
        lean = policy.trim == "lean"
        roots = {e.path.rpartition("/")[0] for e in entries if e.origin in OWN and e.path.endswith((".py", ".so"))}
        sites = {e.path for e in entries if e.kind == "dir" and e.path.rpartition("/")[2] in SITES}
        places = Places(entries, _path(self.given.asked))
        return World(
            places=places,
            named=dict(_roots(entries, self.owners, self.named, lock, lean)),
            relations=self.given.relations,
            owners=self.owners,
            each=self.each,
            forced=self.forced,
            lean=lean,
            linker=Linker(places.at, self.given.linked),
            modules=Modules(entries, (*search_path(lock.python), *sorted(roots | sites))),
            read=self.given.read,
        )

    def byte_code(self, edges: dict[str, Edge], modules: frozenset[str]) -> None:
        """The byte code of modules that are imported stays with them; Python compiles the others at need, as it would
        without any."""
        for entry in self.before.entries:
            if entry.origin != BYTE_CODE or entry.kind != "file" or entry.path in self.out:
                continue
            folder, _, name = entry.path.rpartition("/")
            source = f"{folder.removesuffix('/__pycache__')}/{name.partition('.')[0]}.py"
            if source in edges and source in modules:
                edges[entry.path] = Edge(entry.path, source, entry.reason)
            elif source in edges:
                self.out[entry.path] = f"unreached: its source, {source}, stays, and is compiled if anything imports it"
            else:
                self.out[entry.path] = f"unreached: its source, {source}, was left out"

    def tree(self, edges: Mapping[str, Edge]) -> Tree:
        """What stays, its reasons in place, and the rest."""
        alive = _above(edges)
        kept, dropped = [], list(self.before.dropped)
        for entry in self.before.entries:
            edge = edges.get(entry.path)
            if edge is not None:
                kept.append(_told(entry, edge))
            elif entry.kind == "dir" and entry.path in alive:
                kept.append(replace(entry, reason="stands in it", by=alive[entry.path]))
            else:
                dropped.append(replace(entry, reason=self._why_not(entry), by=""))
        return Tree(tuple(kept), tuple(sorted(dropped, key=lambda e: e.path)))

    def _why_not(self, entry: Entry) -> str:
        path = entry.path
        origin = self.owners.get(path, entry.origin)
        if path in self.out:
            return self.out[path]
        for feature, wanted, _ in self.decided:
            if wanted == "reached" and path in self.each and feature.paths.fullmatch(path):
                return f"feature {feature.name}: nothing that stays asks for {feature.help}"
        if entry.kind == "dir":
            return "hollow: nothing in this folder stays"
        if origin.startswith("wheel:") and path.startswith(CONSOLE_SCRIPTS):
            return f"unreached: nothing that stays starts this script of {origin.removeprefix('wheel:')}"
        if entry.program:
            return "unreached: nothing that stays starts it"
        if ".so" in path.rpartition("/")[2]:
            return "unreached: nothing that stays links or loads it"
        return f"unreached: it belongs to {origin}, and nothing that stays needs it"


def _told(entry: Entry, edge: Edge) -> Entry:
    """The entry with its evidence; what a step made keeps the sentence that says what it is."""
    made = entry.origin.startswith("made:") or entry.origin in OWN
    return replace(entry, reason=entry.reason if made and entry.reason else edge.reason, by=edge.by)


def _owners(entries: Iterable[Entry]) -> Iterator[tuple[str, str]]:
    """Made paths by the package whose script or declaration they stand for."""
    by_path = {e.path: e.origin for e in entries}
    for entry in entries:
        if entry.origin in ("made:scripts", "made:tmpfiles", "made:alternatives"):
            if found := _SCRIPT.search(entry.reason):
                yield entry.path, found[1]
            elif (found := _DECLARED.search(entry.reason)) and found[1] in by_path:
                yield entry.path, by_path[found[1]]
        elif entry.origin in REPLACING and (found := _REPLACED.search(entry.reason)):
            yield entry.path, found[1]


def _named(lock: Lock) -> dict[str, str]:
    """The origins that the declaration names, each with its sentence."""
    named = {p.name: f"{p.name} is named by the declaration ({p.request})" for p in lock.packages if not p.by}
    return named | {
        f"wheel:{w.name}": f"{w.name} is named by the declaration ({w.request})" for w in lock.wheels if not w.by
    }


def _roots(
    entries: Iterable[Entry], owners: Mapping[str, str], named: Mapping[str, str], lock: Lock, lean: bool
) -> Iterator[tuple[str, str]]:
    """The origins whose files stay without any reach, and why: the declaration's own, what oslet makes, and at "safe"
    the named packages and every wheel (a distribution is the unit)."""
    for origin in dict.fromkeys(owners.get(e.path, e.origin) for e in entries):
        if origin in OWN:
            yield origin, "the declaration puts it there (files)"
        elif origin.startswith("made:") and origin != "made:alternatives":
            yield origin, "every image has it"
    if not lean:
        yield from named.items()
        for wheel in lock.wheels:
            if wheel.by:
                yield f"wheel:{wheel.name}", because(wheel)


def _path(asked: Asked) -> tuple[str, ...]:
    """The folders that the declaration's own PATH names."""
    return tuple(folder for folder in dict(asked.start.env).get("PATH", "").split(":") if folder.startswith("/"))


def _above(edges: Mapping[str, Edge]) -> dict[str, str]:
    """The folders above what stays, each with one path that it holds."""
    found: dict[str, str] = {}
    for path in edges:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found[folder] = path
            folder = folder.rpartition("/")[0]
    return found
