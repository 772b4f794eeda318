"""Missing: an application's last words, read for what isn't there, and held against what was left out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from oslet.model.tree import Entry, Tree, follow
from oslet.trim.used import keep_line

LONGEST = 1 << 14
"""Characters of the last words that are read: what killed an application, it says last."""
MOST = 8
"""How many names are looked up, and how many answers given."""

_LIBRARY = re.compile(r"([^\s:'\"]{1,512}): cannot open shared object file")
_MODULE = re.compile(r"No module named '?([A-Za-z_][\w.]*)'?")
_FILE = (
    re.compile(r"[Nn]o such file or directory: b?'(/[^'\n]{1,1024})'"),
    re.compile(r"(/[^\s:'\"`()]{1,1024})['\"]?: (?:\[Errno 2\] )?[Nn]o such file or directory"),
    re.compile(r"['\"](/[^'\"\n]{1,1024})['\"][^\n'\"]{0,80}[Nn]o such file or directory"),
)
_PROGRAM = (
    re.compile(r"executable file [`'\"]?([^\s`'\"]+?)[`'\"]? not found"),
    re.compile(r"exec: \"?([^\s:\"]+)\"?: not found"),
    re.compile(r"([^\s:'\"]{1,512}): (?:command )?not found"),
    re.compile(r"[Nn]o such file or directory: b?'([^'/\n]{1,255})'"),
    re.compile(r"['\"]?([^\s/:'\"]{1,255})['\"]?: No such file or directory"),
)
_FOLDERS = re.compile(r"(/usr/local|/usr)?/s?bin/[^/]+")
_MODULES = re.compile(r".*/(?:python3[^/]*|lib-dynload|dist-packages|site-packages)")


class Missing(NamedTuple):
    """A dropped path that an application missed: the application's words, why it was dropped, and the line to add."""

    path: str
    words: str
    reason: str
    keep: str

    def __str__(self) -> str:
        return f"{self.path} was left out of the image: {self.reason}\n  to have it: {self.keep}"


def missing(said: str, tree: Tree) -> tuple[Missing, ...]:
    """The dropped paths that ``said`` complains of, in the order of its words; none where it says nothing of the kind,
    or misses what the whole image wouldn't have had either."""
    text = said[-LONGEST:]
    kept = {e.path: e for e in tree.entries}
    dropped = {e.path: e for e in tree.dropped if e.path not in kept}
    whole = dropped | kept
    found: dict[str, Missing] = {}
    for entry, words in _complaints(text, dropped, whole):
        found.setdefault(entry.path, Missing(entry.path, words, entry.reason, keep_line((entry.path,))))
        if len(found) >= MOST:
            break
    return tuple(found.values())


def _complaints(text: str, dropped: dict[str, Entry], whole: dict[str, Entry]) -> Iterator[tuple[Entry, str]]:
    for match in _few(_LIBRARY, text):
        for path in _named(match[1], dropped, whole):
            yield dropped[path], match[0]
    for match in _few(_MODULE, text):
        for path in _module(match[1], dropped):
            yield dropped[path], match[0]
    for pattern in _FILE:
        for match in _few(pattern, text):
            for path in _at(match[1], dropped, whole):
                yield dropped[path], match[0]
    for pattern in _PROGRAM:
        for match in _few(pattern, text):
            for path in _named(match[1], dropped, whole):
                if "/" in match[1] or _FOLDERS.fullmatch(path):
                    yield dropped[path], match[0]


def _few(pattern: re.Pattern[str], text: str) -> list[re.Match[str]]:
    return list(pattern.finditer(text))[-MOST:]


def _at(path: str, dropped: dict[str, Entry], whole: dict[str, Entry]) -> list[str]:
    """What stands in the way to ``path`` of the whole tree and was left out: links, or what it leads to."""
    try:
        end, links = follow(path, whole.get)
    except ValueError:
        return []
    return [p for p in (*links, end) if p in dropped]


def _named(name: str, dropped: dict[str, Entry], whole: dict[str, Entry]) -> list[str]:
    """The dropped paths of that name, a file first; with what its links lead to."""
    if name.startswith("/"):
        return _at(name, dropped, whole)
    ends = [path for path, e in dropped.items() if e.kind != "dir" and path.rpartition("/")[2] == name]
    return list(dict.fromkeys(p for end in ends for p in _at(end, dropped, whole)))


def _module(name: str, dropped: dict[str, Entry]) -> list[str]:
    """The dropped file that is the module ``name``, or the folder that is the package, below a folder of modules."""
    place = name.replace(".", "/")
    wanted = re.compile(
        rf"{_MODULES.pattern}/{re.escape(place)}(?:\.py|/__init__\.py|(?:\.(?:cpython|abi3)[^/]*)?\.so)", re.DOTALL
    )
    return [path for path in dropped if path.endswith((".py", ".so")) and wanted.fullmatch(path)]
