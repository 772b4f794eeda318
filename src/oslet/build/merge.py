"""Contents → the entries of one tree: usrmerge, diversions, and paths that two packages claim. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from oslet.build.scripts.packaging import compare
from oslet.build.scripts.reading import control_fields
from oslet.errors import BuildError
from oslet.model.lock import Lock
from oslet.model.tree import Contents, Entry

ORIGIN = "made:usrmerge"
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")
_ALWAYS = ("bin", "sbin", "lib", "lib64")
_DIVERT = re.compile(r"^[^#\n]*\bdpkg-divert\b((?:[^\n\\]|\\\n?)*)", re.MULTILINE)
_RELATION = re.compile(r"([a-z0-9][a-z0-9+.-]*)(?::\w+)?\s*(?:\(\s*(<<|<=|=|>=|>>)\s*([^)\s]+)\s*\))?")


def merge(contents: Sequence[Contents], lock: Lock) -> tuple[Entry, ...]:
    """One entry per path, sorted: what all packages and wheels bring, merged as dpkg would on a merged-/usr system.

    Pure; comes before ``trim``. Raises BuildError when two packages claim one path with different content and neither
    Replaces the other (Policy 7.6), or when a folder would stand where a link to no folder is.
    """
    versions = {p.name: p.version for p in lock.packages}
    relocated = [
        (c, [e for e in map(_in_usr, c.entries) if e is not None]) for c in sorted(contents, key=lambda c: c.origin)
    ]
    links = _folder_links(relocated)
    replaced = {c.origin: _replaced(c, versions) for c in contents}
    diverted = _diversions(contents)
    found: dict[str, Entry] = {}
    for contents_of, entries in relocated:
        for entry in entries:
            entry = _through(entry, links)
            target = diverted.get(entry.path)
            if target is not None and target[0] != contents_of.origin and entry.kind != "dir":
                entry = replace(entry, path=target[1], reason=f"diverted from {entry.path} by {target[0]}'s preinst")
            other = found.get(entry.path)
            found[entry.path] = entry if other is None else _one_of(other, entry, replaced)
    for name in MERGED:
        if name in _ALWAYS or f"/usr/{name}" in found:
            found[f"/{name}"] = Entry(
                f"/{name}", "link", 0o777, target=f"usr/{name}", origin=ORIGIN, reason="Debian has one /usr (usrmerge)"
            )
            found.setdefault(
                f"/usr/{name}",
                Entry(f"/usr/{name}", "dir", 0o755, origin=ORIGIN, reason=f"/{name} leads there (usrmerge)"),
            )
    return tuple(found[path] for path in sorted(found))


def _in_usr(entry: Entry) -> Entry | None:
    """``/bin/x`` as ``/usr/bin/x``; None for the link ``/bin`` itself and links that then lead to themselves."""
    top, _, rest = entry.path[1:].partition("/")
    if top in MERGED:
        if not rest:
            return None if entry.kind != "dir" else replace(entry, path=f"/usr/{top}", mode=0o755)
        entry = replace(entry, path=f"/usr/{top}/{rest}")
    elif entry.path == "/":
        return None
    if entry.kind == "link" and _physical(posixpath.join(posixpath.dirname(entry.path), entry.target)) == entry.path:
        return None
    return entry


def _physical(path: str) -> str:
    path = "/" + posixpath.normpath(path).lstrip("/")
    return f"/usr{path}" if path[1:].partition("/")[0] in MERGED else path


def _folder_links(relocated: Iterable[tuple[Contents, list[Entry]]]) -> dict[str, str]:
    """Paths that are a folder in one package and a link to a folder in another: the link stays, as dpkg keeps it."""
    links: dict[str, Entry] = {}
    folders: dict[str, str] = {}
    for _, entries in relocated:
        for entry in entries:
            if entry.kind == "link":
                links.setdefault(entry.path, entry)
            elif entry.kind == "dir":
                folders.setdefault(entry.path, entry.origin)
    both: dict[str, str] = {}
    for path in links.keys() & folders.keys():
        target = _physical(posixpath.join(posixpath.dirname(path), links[path].target))
        if target not in folders:
            raise BuildError(
                f"{folders[path]} has a folder where {links[path].origin} has a link to {target}",
                where=path,
                hint="a folder never replaces a link; leave one of the two packages out",
            )
        both[path] = target
    return both


def _through(entry: Entry, links: Mapping[str, str]) -> Entry:
    for path, target in links.items():
        if entry.path == path and entry.kind == "dir":
            return replace(entry, path=target)
        if entry.path.startswith(f"{path}/"):
            return replace(entry, path=target + entry.path[len(path) :])
    return entry


def _replaced(contents: Contents, versions: Mapping[str, str]) -> set[str]:
    """The packages of the lock whose files this one may replace."""
    found = set()
    for part in control_fields(contents.control.get("control", "")).get("Replaces", "").split(","):
        match = _RELATION.match(part.strip())
        if match and match[1] in versions and (not match[2] or compare(versions[match[1]], match[2], match[3])):
            found.add(match[1])
    return found


def _diversions(contents: Sequence[Contents]) -> dict[str, tuple[str, str]]:
    """Path → (package, where others' file of that path goes), from the preinst scripts' literal dpkg-divert calls."""
    found = {}
    for one in contents:
        for call in _DIVERT.findall(one.control.get("preinst", "")):
            words = [w.strip("\"'") for w in call.replace("\\\n", " ").split()]
            if "--remove" in words or any("$" in w for w in words):
                continue
            to = next((words[i + 1] for i, w in enumerate(words[:-1]) if w == "--divert"), "")
            path = next((w for i, w in enumerate(words) if w.startswith("/") and words[i - 1] != "--divert"), "")
            if to.startswith("/") and path:
                found[_physical(path)] = (one.origin, _physical(to))
    return found


def _one_of(a: Entry, b: Entry, replaced: Mapping[str, set[str]]) -> Entry:
    """Which of two claims of one path stands. ``a`` comes from the package that is first by name."""
    if a.kind == b.kind == "dir":
        return b if (a.mode, a.uid, a.gid) == (0o755, 0, 0) and (b.mode, b.uid, b.gid) != (0o755, 0, 0) else a
    if (a.kind, a.digest, a.target) == (b.kind, b.digest, b.target):
        return a
    if a.origin in replaced.get(b.origin, ()):
        return b
    if b.origin in replaced.get(a.origin, ()):
        return a
    if a.origin.startswith("wheel:") and b.origin.startswith("wheel:") and a.kind == b.kind:
        return b
    raise BuildError(
        f"{a.origin} and {b.origin} both bring {a.path}, with different content",
        where=a.path,
        hint="neither package Replaces the other; leave one of them out",
    )
