"""glibc's character set converters (iconv(3)): their configuration, in agreement with the modules that are left.

``gconv-modules`` and ``gconv-modules.d/*.conf`` say which module converts what. ``gconv-modules.cache`` is the same,
compiled by iconvconfig(8) for all modules; without one glibc reads the texts, so it goes, and no program has to run.
"""

from __future__ import annotations

from collections.abc import Iterable

from oslet.build.files import Files

ORIGIN = "made:gconv"
_TEXT = "gconv-modules"
_INTERNAL = "INTERNAL"


def converters(files: Files) -> None:
    """Make every gconv folder's configuration speak of the modules that are there; nothing changes when all are."""
    for entry in files:
        if entry.kind == "dir" and entry.path.startswith("/usr/lib") and entry.path.endswith("/gconv"):
            _agree(files, entry.path)


def _agree(files: Files, folder: str) -> None:
    texts = [p for p in (f"{folder}/{_TEXT}", *files.glob(f"{folder}/{_TEXT}.d/*.conf")) if files.is_file(p)]
    lines = {path: files.text(path).splitlines() for path in texts}
    there = frozenset(name.removesuffix(".so") for name in files.names(folder) if name.endswith(".so"))
    gone = _gone([_words(line) for text in lines.values() for line in text], there)
    if not gone:
        return
    for path, text in lines.items():
        fewer = [line for line in text if _stays(_words(line), there, gone)]
        old = files.get(path)
        if old is None or fewer == text:
            continue
        if any(map(_words, fewer)) or path == texts[0]:
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
