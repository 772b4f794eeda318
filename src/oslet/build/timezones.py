"""The feature ``timezones``: the named time zones alone, in the system's folder and in PyPI's ``tzdata``.

Programs list zones by walking the folder (Python, PostgreSQL), or by its tables, so those are cut as well. The texts
``tzdata.zi``, leap seconds and countries stay whole: a library compiles them for itself (C++), and needs no file more.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence

from oslet.build.files import Files
from oslet.codec.nearest import suggestion
from oslet.errors import BuildError, DeclarationError

ORIGIN = "made:timezones"
WHERE = "features.timezones"
SYSTEM = "/usr/share/zoneinfo"
ALWAYS = ("UTC", "Etc/UTC", "GMT", "Etc/GMT")
"""What programs count on: zoneinfo's and PostgreSQL's defaults."""
_TABLES = {"zone.tab": 2, "zone1970.tab": 2, "zonenow.tab": 2}
"""Tables with one row for a zone, and the column that names it (tzfile(5), the tables' own heads)."""
_NO_ZONES = ("leapseconds", "localtime", "posixrules", "__pycache__")
_VARIANTS = ("posix/", "right/")

Spared = Callable[[str], bool]


def timezones(files: Files, wanted: Sequence[str], spared: Spared) -> None:
    """Leave out every zone but ``wanted``, UTC, GMT and what links lead to; ``spared`` paths stay.

    Raises DeclarationError, with the nearest name, for a zone that isn't there; BuildError when there are none at all.
    """
    folders = [SYSTEM] if files.is_dir(SYSTEM) else []
    folders += sorted(e.path for e in files if e.kind == "dir" and e.path.endswith("/tzdata/zoneinfo"))
    zones = {folder: _zones(files, folder) for folder in folders}
    known = sorted(set().union(*zones.values()))
    if not known:
        raise BuildError("no package brings time zones", where=WHERE, hint="add tzdata to packages")
    for name in wanted:
        if name not in known:
            raise DeclarationError(
                f"there is no time zone {name[:60]!r}",
                where=WHERE,
                hint=f"{suggestion(name, known)} (old names: Debian's package tzdata-legacy)",
            )
    said = f"timezones = [{', '.join(wanted)}]"
    for folder in folders:
        _cut(files, folder, zones[folder], {*wanted, *ALWAYS}, said, spared)


def _zones(files: Files, folder: str) -> set[str]:
    """The names of the zones below ``folder``, those of variants (``right/…``) as their plain ones."""
    names = (e.path[len(folder) + 1 :] for e in files if e.kind != "dir" and e.path.startswith(f"{folder}/"))
    return {_plain(name) for name in names if _is_zone(name)}


def _is_zone(name: str) -> bool:
    return "." not in name and not any(part in _NO_ZONES for part in name.split("/"))


def _plain(name: str) -> str:
    return next((name.removeprefix(variant) for variant in _VARIANTS if name.startswith(variant)), name)


def _cut(files: Files, folder: str, zones: set[str], wanted: set[str], said: str, spared: Spared) -> None:
    kept = {files.resolve(f"{folder}/{name}") for name in wanted & zones}
    kept |= {files.resolve(e.path) for e in files if e.kind == "link" and not e.path.startswith(f"{folder}/")}
    gone: set[str] = set()
    for entry in list(files):
        name = entry.path[len(folder) + 1 :]
        if not entry.path.startswith(f"{folder}/") or entry.kind == "dir" or not _is_zone(name):
            continue
        if entry.path in kept or _plain(name) in wanted or f"{folder}/{_plain(name)}" in kept:
            files.own(entry.path, reason=f"{said}, UTC, GMT, and where their links lead")
        elif not spared(entry.path):
            files.remove(entry.path, f"{said}: {_plain(name)} isn't among them")
            gone.add(_plain(name))
    rules = f"{folder}/posixrules"  # what glibc makes of a TZ without rules of its own; it has the same built in
    if rules in files and not files.is_file(rules):
        files.remove(rules, f"{said}: it led to a zone that isn't among them")
    _drop_hollow(files, folder, said)
    for table, column in _TABLES.items():
        _without(files, f"{folder}/{table}", column, gone, said)
    _without(files, f"{posixpath.dirname(folder)}/zones", 0, gone, said)


def _column(line: str, number: int) -> str:
    fields = line.strip().split("\t")
    return fields[number] if not line.startswith("#") and len(fields) > number else ""


def _without(files: Files, path: str, column: int, gone: set[str], said: str) -> None:
    """Leave the rows of zones that are gone out of a table, when there is such a table and it has such rows."""
    entry = files.get(path)
    if entry is None or entry.kind != "file":
        return
    lines = files.text(path).splitlines(keepends=True)
    fewer = [line for line in lines if _column(line, column) not in gone]
    if len(fewer) < len(lines):
        reason = f"{said}: the zones that are there, in place of {entry.origin}'s own table"
        files.put(path, "".join(fewer).encode(), mode=entry.mode, origin=ORIGIN, reason=reason)


def _drop_hollow(files: Files, folder: str, said: str) -> None:
    """Folders without a zone go, with the ``__init__.py`` that makes them Python packages."""
    folders = sorted((e.path for e in files if e.kind == "dir" and e.path.startswith(f"{folder}/")), reverse=True)
    for path in folders:
        if path in files and all(name in ("__init__.py", "__pycache__") for name in files.names(path)):
            files.remove(path, f"{said}: no zone of this folder is among them")
