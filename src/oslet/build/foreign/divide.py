"""The file system of a foreign image, divided by who brought each path: packages, wheels, and the image itself."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from re import Pattern
from typing import NamedTuple

from msgspec.structs import replace

from oslet.build.files import Files
from oslet.build.foreign.dpkg import Installed, altered, installed, owners
from oslet.build.foreign.python import Dist, distributions, lasting, source_of
from oslet.codec import digest
from oslet.errors import BuildError
from oslet.model.tree import Contents, Entry
from oslet.store.flatten import Flat
from oslet.trim.rules import globs

ORIGIN = "image"
"""Who brought what no package and no distribution did: those who made the image."""

CAPABLE = "capabilities"
RELEASE = "os-release"
METADATA = "METADATA"
RECORD = "record"
"""Names among ``Contents.control``: the image's files that had file capabilities, one a line, and its os-release(5);
the head of a distribution's METADATA; where in the image a package or distribution is recorded."""

OWN = "the image's own: no package and no distribution brings it"


class Made(NamedTuple):
    """What a package's scripts make: paths, the package (empty: that of what a link leads to), whether that has
    the same content somewhere, and why."""

    paths: Pattern[str]
    package: str
    copy: bool
    why: str


def divide(flat: Flat, files: Files, manifest: str) -> tuple[Contents, ...]:
    """What each package, each distribution and the image itself bring; ``files`` holds ``flat``'s entries.

    Every path belongs to exactly one. Byte code goes with its source, a folder that nobody claims with what it holds.
    """
    packages = installed(files)
    owned = owners(files, packages)
    changed = altered(files, packages, owned)
    dists = tuple(distributions(files, owned))
    origins, reasons = _origins(files, packages, owned, dists)
    for path, package in changed.items():
        origins[path], reasons[path] = ORIGIN, f"the image's own: it isn't what {package} brought to this path"
    _byte_code(flat, files, origins, reasons)
    _folders(files, origins)
    parts: dict[str, list[Entry]] = {ORIGIN: []}
    for entry in sorted(files, key=lambda e: e.path):
        origin = origins.get(entry.path, ORIGIN)
        reason = reasons.get(entry.path, OWN if origin == ORIGIN else "")
        parts.setdefault(origin, []).append(replace(entry, origin=origin, reason=reason))
    release = _at(files, "/etc/os-release")
    text = files.store.read(release.digest)[:4096].decode("utf-8", "replace") if release and release.digest else ""
    own = {CAPABLE: "\n".join(flat.capabilities), RELEASE: text}
    return (
        *(_contents(p.name, parts, _control(p, files)) for p in packages),
        *_wheels(dists, parts),
        Contents(ORIGIN, manifest.removeprefix("sha256:"), tuple(parts[ORIGIN]), own),
    )


@cache
def made() -> tuple[Made, ...]:
    """The rows of ``made.toml``."""
    text = Path(__file__).with_name("made.toml").read_text("utf-8")
    return tuple(
        Made(globs(row["paths"]), row["package"], row.get("copy", False), row["why"])
        for row in tomllib.loads(text)["made"]
    )


def _control(package: Installed, files: Files) -> dict[str, str]:
    sums = f"{package.lists}.md5sums"
    control = {"control": package.text, RECORD: package.record}
    return control | ({"md5sums": files.text(sums)} if files.is_file(sums) else {})


def _contents(origin: str, parts: Mapping[str, Sequence[Entry]], control: dict[str, str]) -> Contents:
    entries = tuple(parts.get(origin, ()))
    facts = [[e.path, e.kind, e.mode, e.uid, e.gid, e.size, e.digest, e.target] for e in entries]
    return Contents(origin, digest((control, facts)), entries, control)


def _wheels(dists: Sequence[Dist], parts: Mapping[str, Sequence[Entry]]) -> list[Contents]:
    """One for each name: of a distribution that is there twice (in two environments), the first one's version."""
    first: dict[str, Dist] = {}
    for dist in dists:
        first.setdefault(dist.name, dist)
    return [
        _contents(f"wheel:{name}", parts, {METADATA: first[name].head, RECORD: f"{first[name].info}/{METADATA}"})
        for name in sorted(first)
    ]


def _origins(
    files: Files, packages: Sequence[Installed], owned: Mapping[str, str], dists: Sequence[Dist]
) -> tuple[dict[str, str], dict[str, str]]:
    """Path → origin, and path → reason where it needs telling; the image's own paths are in neither."""
    origins = dict(owned)
    reasons: dict[str, str] = {}
    for dist in dists:
        for path in dist.paths:
            if origins.setdefault(path, f"wheel:{dist.name}") == f"wheel:{dist.name}":
                reasons[path] = f"wheel:{dist.name} lists it (RECORD)"
    names = {package.name for package in packages}
    content = {(name, entry.digest) for path, name in owned.items() if (entry := files.get(path)) and entry.size}
    for entry in files:
        if entry.path in origins or entry.kind == "dir":
            continue
        for row in made():
            if row.paths.fullmatch(entry.path):
                package = row.package or _led_to(files, entry, owned)
                if package in names and (not row.copy or (package, entry.digest) in content):
                    origins[entry.path], reasons[entry.path] = package, f"{row.why}, for {package}"
                    break
    for entry in files:  # links that lead into /etc/alternatives: /usr/bin/awk
        if entry.kind == "link" and entry.path not in origins and entry.target.startswith("/etc/alternatives/"):
            package = _led_to(files, entry, owned)
            if package in names:
                origins[entry.path], reasons[entry.path] = package, f"update-alternatives(1) made it, for {package}"
    return origins, reasons


def _led_to(files: Files, entry: Entry, owned: Mapping[str, str]) -> str:
    try:
        return owned.get(files.resolve(entry.path), "") if entry.kind == "link" else ""
    except BuildError:
        return ""


def _byte_code(flat: Flat, files: Files, origins: dict[str, str], reasons: dict[str, str]) -> None:
    """Byte code belongs to who brought its source, with a header that holds without time stamps."""
    for code in files:
        path = source_of(code.path) if code.kind == "file" else ""
        source = _at(files, path) if path else None
        if source is None or source.kind != "file":
            continue
        if path in origins:
            origins[code.path] = origins[path]
        else:
            origins.pop(code.path, None)
        data = lasting(files, code, source, flat.changed.get(source.path, -1))
        if data is None:
            reasons[code.path] = STALE
        else:
            sha256 = files.store.put(data, code.mode)
            files.place(replace(code, digest=sha256, size=len(data)))
            reasons[code.path] = f"byte code of {path}, as the image has it"


STALE = "byte code that Python wouldn't take: its source is another by now"


def _folders(files: Files, origins: dict[str, str]) -> None:
    """A folder that nobody claims is the image's if it is empty or holds something of the image's own."""
    own: set[str] = set()
    held: dict[str, str] = {}
    for entry in sorted(files, key=lambda e: e.path, reverse=True):  # what a folder holds comes before it
        path, parent = entry.path, entry.path.rpartition("/")[0]
        if entry.kind == "dir" and path not in origins and path in held and path not in own:
            origins[path] = held[path]
        origin = origins.get(path, ORIGIN)
        if origin == ORIGIN:
            own.add(parent)
        held[parent] = origin


def _at(files: Files, path: str) -> Entry | None:
    """What ``path`` leads to; None where nothing is, or links go in circles."""
    try:
        return files.at(path)
    except BuildError:
        return None
