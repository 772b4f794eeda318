"""The texts a shell reads: scripts with joined lines, and standard input."""

from __future__ import annotations

import re

_UNSAFE = re.compile(r"\{[0-9]*(?:\.\.[0-9]*)?[^\x00-\xff]")
_ASTRAL = re.compile(r"[\U00010000-\U0010ffff]")
"""Where the grammar's scanner asks C's ``isdigit`` about any character: beyond U+00FF that reads foreign memory, or
dies (tree-sitter-bash issue 337). Of characters beyond U+FFFF, where it dies most, none may follow a brace at all."""


def unsafe(text: str) -> re.Match[str] | None:
    """A place that mustn't be given to the grammar; it ends with the character that its scanner may die of."""
    brace = text.find("{")
    return (_UNSAFE.search(text, brace) or _ASTRAL.search(text, brace)) if brace >= 0 else None


def joined(text: str) -> str:
    """The text with continued lines joined, byte for byte as long as before: the grammar loses words at such places.

    Here-documents stay as they are. Line numbers are counted in the lines as written.
    """
    if "\\\n" not in text:
        return text
    out: list[str] = []
    ends: list[str] = []
    for line in text.split("\n"):
        if ends:
            out.append(line + "\n")
            if line.lstrip("\t") == ends[0]:
                ends.pop(0)
            continue
        ends = [m[1] for m in re.finditer(r"<<-?\s*['\"\\]?(\w+)", line.partition(" #")[0]) if "<<<" not in line]
        continued = re.search(r"(?:^|[ \t])\\$", line)
        out.append(f"{line[:-1]}  " if continued and not ends else f"{line}\n")
    return "".join(out)[: len(text)]


class Lines:
    """Standard input: text that several commands read on from."""

    def __init__(self, text: str) -> None:
        self.rest = text

    def line(self) -> str | None:
        if not self.rest:
            return None
        line, _, self.rest = self.rest.partition("\n")
        return line

    def all(self) -> str:
        text, self.rest = self.rest, ""
        return text
