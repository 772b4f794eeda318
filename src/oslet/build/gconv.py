"""glibc's converters (iconv(3)): the feature ``charsets``, and a configuration in agreement with what is left.

``gconv-modules`` and ``gconv-modules.d/*.conf`` say which module converts what. ``gconv-modules.cache`` is the same,
compiled by iconvconfig(8) for all modules; without one glibc reads the texts, so it goes, and no program has to run.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence

from oslet.build.files import Files
from oslet.codec.nearest import suggestion
from oslet.errors import BuildError, DeclarationError
from oslet.formats import elf

ORIGIN = "made:gconv"
WHERE = "features.charsets"
ALWAYS = ("UTF-16", "UTF-32", "UTF-7", "UNICODE", "ISO8859-1", "ISO8859-15", "CP1252")
"""The modules for what any program may meet: Unicode's forms, Latin 1 and 9, and what the web calls Latin 1."""
BUILT_IN = frozenset(
    {"UTF-8", "UTF8", "ASCII", "US-ASCII", "ANSI_X3.4-1968", "UCS-2", "UCS2", "UCS-4", "UCS4", "WCHAR_T"}
)
"""What glibc converts without a module."""
MAX_ALIASES = 10
_TEXT = "gconv-modules"
_INTERNAL = "INTERNAL"


def charsets(files: Files, wanted: Sequence[str], spared: Callable[[str], bool]) -> None:
    """Leave out the modules for character sets other than ``wanted`` and those that any program may meet.

    Raises DeclarationError, with the nearest name, for one that iconv doesn't know; BuildError when there is no module.
    """
    folders = _folders(files)
    if not folders:
        raise BuildError("no package brings iconv's modules", where=WHERE, hint="libc6 has them on bookworm and later")
    for folder in folders:
        rows = [row for text in _lines(files, folder).values() for row in map(_words, text) if row]
        names = {_known(name, rows) for name in wanted}
        modules = {f"{row[3].removesuffix('.so')}.so" for row in rows if row[0] == "module" and names & set(row[1:3])}
        modules |= {f"{name}.so" for name in ALWAYS}
        kept = modules | {need for name in modules for need in _needed(files, f"{folder}/{name}")}
        for name in files.names(folder):
            if name.endswith(".so") and name not in kept and not spared(f"{folder}/{name}"):
                files.remove(f"{folder}/{name}", f"charsets = [{', '.join(wanted)}]: none of these needs it")


def _known(name: str, rows: Sequence[list[str]]) -> str:
    """The character set that ``name`` is, or is an alias of, as the configuration writes it."""
    aliases = {row[1].strip("/"): row[2] for row in rows if row[0] == "alias"}
    sets = {each.strip("/"): each for row in rows if row[0] == "module" for each in row[1:3]}
    here = name.upper().strip("/")
    for _ in range(MAX_ALIASES):
        if here in sets or here in BUILT_IN:
            return sets.get(here, here)
        here = aliases.get(here, "").strip("/")
    known = sorted({*aliases, *sets, *BUILT_IN} - {_INTERNAL})
    raise DeclarationError(f"iconv knows no character set {name[:60]!r}", where=WHERE, hint=suggestion(name, known))


def _needed(files: Files, path: str) -> tuple[str, ...]:
    """The libraries that a module needs, of which some stand beside it."""
    found = elf.read(io.BytesIO(files.data(path)), where=path) if files.is_file(path) else None
    return found.needed if found else ()


def converters(files: Files) -> None:
    """Make every gconv folder's configuration speak of the modules that are there; nothing changes when all are."""
    for folder in _folders(files):
        _agree(files, folder)


def _folders(files: Files) -> list[str]:
    found = (e.path for e in files if e.kind == "dir" and e.path.startswith("/usr/lib") and e.path.endswith("/gconv"))
    return [path for path in sorted(found) if any(name.endswith(".so") for name in files.names(path))]


def _lines(files: Files, folder: str) -> dict[str, list[str]]:
    """The lines of each text of the configuration, the main one first."""
    texts = (f"{folder}/{_TEXT}", *files.glob(f"{folder}/{_TEXT}.d/*.conf"))
    return {path: files.text(path).splitlines() for path in texts if files.is_file(path)}


def _agree(files: Files, folder: str) -> None:
    lines = _lines(files, folder)
    there = frozenset(name.removesuffix(".so") for name in files.names(folder) if name.endswith(".so"))
    gone = _gone([_words(line) for text in lines.values() for line in text], there)
    if not gone:
        return
    for path, text in lines.items():
        fewer = [line for line in text if _stays(_words(line), there, gone)]
        old = files.get(path)
        if old is None or fewer == text:
            continue
        if any(map(_words, fewer)) or path == f"{folder}/{_TEXT}":
            reason = f"which character sets iconv knows: {old.origin}'s list without the modules that are left out"
            files.put(path, ("\n".join(fewer) + "\n").encode(), mode=old.mode, origin=ORIGIN, reason=reason)
        else:
            files.remove(path, "all the converters that it lists are left out")
    files.remove(f"{folder}/{_TEXT}.cache", "it lists converters that are left out; glibc reads gconv-modules instead")


def _words(line: str) -> list[str]:
    """``alias FROM TO`` or ``module FROM TO FILE [COST]``, the character sets in upper case, as glibc compares them;
    nothing for any other line."""
    words = line.partition("#")[0].split()
    if len(words) < {"alias": 3, "module": 4}.get(words[0] if words else "", 1000):
        return []
    return [words[0], words[1].upper(), words[2].upper(), *words[3:4]]


def _gone(rows: Iterable[list[str]], there: frozenset[str]) -> frozenset[str]:
    """The character sets that no module is left for, and their aliases. What no module ever was for is built in."""
    rows = [row for row in rows if row]
    modules = [row for row in rows if row[0] == "module"]
    lost = {name for row in modules if not _has(row, there) for name in row[1:3]}
    gone = lost - {name for row in modules if _has(row, there) for name in row[1:3]} - {_INTERNAL}
    if not lost:
        return frozenset()
    grew = True
    while grew:
        more = {row[1] for row in rows if row[0] == "alias" and row[2] in gone} - gone
        gone |= more
        grew = bool(more)
    return frozenset(gone)


def _has(row: list[str], there: frozenset[str]) -> bool:
    return row[3].removesuffix(".so") in there


def _stays(row: list[str], there: frozenset[str], gone: frozenset[str]) -> bool:
    """Whether a line stays: a module that is there, an alias of something that is, and whatever is neither."""
    if row[:1] == ["module"]:
        return _has(row, there)
    return row[:1] != ["alias"] or row[2] not in gone
