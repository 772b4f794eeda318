"""The texts a shell reads: scripts with joined lines, and standard input."""

from __future__ import annotations

import re


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
