"""What a Python module imports, read from its text without parsing it.

The image's Python may be newer than the one that builds, so its grammar isn't ours to parse. Import statements are
regular enough for patterns; what stands in a docstring is found too, which keeps too much and never too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_CONTINUED = re.compile(r"\\\r?\n")
_IMPORT = re.compile(r"import\b")
_BEFORE = re.compile(r"(?:.*[;:\"'])?+[ \t\f]*+(?:from[ \t]*(?P<module>\.*[ \t]*[\w.]*)[ \t]*)?")
"""What may stand on a line before the word import, if that begins a statement or ends the ``from`` of one."""
_NAMES = re.compile(r"[ \t]*(?:\((?:[^)#]++|\#[^\n]*+)*+\)|[^\n;#\"']++)")
_DYNAMIC = re.compile(r"(?:__import__|_module|resolve_name|importorskip)\s*\(\s*[rbuf]*[\"'](\.*[\w.]*)[\"'{]")
_DOTTED = re.compile(r"[\"']([A-Za-z_]\w*\.[\w.]*)([\"':{%])")
_RUN = re.compile(
    r"(?:run|open|call|output|exec|which|exec[lv]p?e?|spawn[lv]?p?e?)\s*+\(\s*+(?:os\.P_\w++\s*+,\s*+)?[\[(]?\s*+"
    r"[\"']([A-Za-z0-9_./+-]+)[\"']"
)
_RUNS = ("subprocess", "os.exec", "spawn", "which(", "open(")
_FIND_LIBRARY = re.compile(r"find_library\s*\(\s*[\"']([\w.+-]+)[\"']")
_SHELL = re.compile(r"shell\s*=\s*True|os\.(?:system|popen)\s*\(|output\s*\(\s*[\"'f]|create_subprocess_shell")
_COMMENT = re.compile(r"#[^\n]*")
MAX_NAMES = 20_000
LONGEST_LINE = 2_000
"""Characters before a statement on its line; what stands further right was written by no person."""
LONGEST_LIST = 100_000
"""Characters of one statement's names."""


class Source(NamedTuple):
    """What a module imports (``a.b``; ``.b`` and ``..b`` relative, ``a.*`` whatever lies in ``a``), which other dotted
    names it holds as texts, which programs it starts, and whether it starts a shell."""

    imports: tuple[str, ...]
    mentions: tuple[str, ...]
    commands: tuple[str, ...]
    shell: bool


def scan(text: str) -> Source:
    """Read one module's text."""
    text = _CONTINUED.sub(" ", text)
    return Source(
        tuple(dict.fromkeys(_imports(text)))[:MAX_NAMES],
        tuple(dict.fromkeys(_mentions(text)))[:MAX_NAMES],
        tuple(dict.fromkeys(_commands(text)))[:MAX_NAMES],
        any(word in text for word in ("shell", "os.system", "os.popen", "output")) and bool(_SHELL.search(text)),
    )


def _imports(text: str) -> Iterator[str]:
    left = len(text) + 100 * LONGEST_LIST  # statements don't overlap: what is read beyond that was written to take time
    for match in _IMPORT.finditer(text):
        at = match.start()
        if left < 0:
            return
        line = text.rfind("\n", max(0, at - LONGEST_LINE), at) + 1
        before = _BEFORE.fullmatch(text, line, at) if at - line < LONGEST_LINE else None
        names = before and _NAMES.match(text, match.end(), match.end() + LONGEST_LIST)
        if not before or not names:
            left -= LONGEST_LIST if before else LONGEST_LINE >> 4
            continue
        left -= len(names[0])
        words = [w.split(None, 1)[0] for w in _COMMENT.sub("", names[0]).strip(" \t()").split(",") if w.strip()]
        if before["module"] is None:
            yield from (word for word in words if word.replace(".", "").isidentifier())
        elif module := re.sub(r"\s", "", before["module"]):
            yield module
            yield from (f"{module}{'' if module.endswith('.') else '.'}{word}" for word in words)
    if "import" in text:
        for match in _DYNAMIC.finditer(text):
            if match[1]:
                yield f"{match[1]}*" if match[0].endswith("{") else match[1]


def _mentions(text: str) -> Iterator[str]:
    """Dotted names that stand as texts, whole (``"a.b"``, ``"a.b:c"``) or begun (``"a." + x``, ``f"a.{x}"``)."""
    for match in _DOTTED.finditer(text):
        name, end = match.groups()
        if not name.endswith("."):
            yield name
        if end in "{%" or name.endswith("."):
            yield f"{name.rpartition('.')[0]}.*"


def _commands(text: str) -> Iterator[str]:
    if any(word in text for word in _RUNS):
        yield from (match[1] for match in _RUN.finditer(text))
    if "find_library" in text:
        yield from (f"lib{match[1]}.so" for match in _FIND_LIBRARY.finditer(text))
