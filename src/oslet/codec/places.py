"""Where each key of a TOML text stands: the reader of the standard library gives values without places.

``locate`` runs only when there is a fault to place, on a text that the standard reader has accepted; so it follows
the grammar of TOML 1.0 without checking it.
"""

from __future__ import annotations

import re
from typing import TypeAlias

Key: TypeAlias = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"[ \t]*")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR = re.compile(r"[^,\]}#\r\n]+")
_ESCAPE = re.compile(r'\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|["\\bfnrt])')
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def locate(text: str) -> dict[Key, int]:
    """The line (from 1) of each key, table header and list item of a valid TOML text."""
    return _Scanner(text.replace("\r\n", "\n")).scan()


def line_of(places: dict[Key, int], key: Key) -> int:
    """The line of a key, or of the nearest table around it that is written; 0 when none is."""
    while key:
        if key in places:
            return places[key]
        key = key[:-1]
    return 0


def spell(key: Key) -> str:
    """A key as TOML spells it, list items counted from 1: ``files."/app".mode``, ``command[3]``."""
    shown = ""
    for part in key:
        if isinstance(part, int):
            shown += f"[{part + 1}]"
        else:
            part = part if len(part) <= 60 else part[:59] + "…"
            word = part if _BARE.fullmatch(part) else '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
            shown += f".{word}" if shown else word
    return shown.replace("\n", "\\n")


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.counted = 0
        self.places: dict[Key, int] = {}
        self.counts: dict[Key, int] = {}

    def scan(self) -> dict[Key, int]:
        table: Key = ()
        self.skip(_GAP)
        while self.at < len(self.text):
            if self.text.startswith("[[", self.at):
                self.at += 2
                key = self.through_lists(self.keys("]"))
                self.counts[key] = self.counts.get(key, -1) + 1
                self.mark(key)
                table = (*key, self.counts[key])
                self.mark(table)
                self.at += 2
            elif self.text[self.at] == "[":
                self.at += 1
                table = self.through_lists(self.keys("]"))
                self.mark(table, again=True)
                self.at += 1
            else:
                self.pair(table)
            self.skip(_GAP)
        return self.places

    def through_lists(self, key: Key) -> Key:
        """A header's key with the current index after each array of tables it goes through."""
        full: Key = ()
        for position, part in enumerate(key):
            full = (*full, part)
            if full in self.counts and position < len(key) - 1:
                full = (*full, self.counts[full])
        for size in range(1, len(full)):
            self.mark(full[:size])
        return full

    def pair(self, table: Key) -> None:
        key = (*table, *self.keys("="))
        for size in range(len(table) + 1, len(key) + 1):
            self.mark(key[:size])
        self.at += 1
        self.skip(_SPACE)
        self.value(key)

    def keys(self, end: str) -> Key:
        parts: list[str] = []
        while True:
            self.skip(_SPACE)
            if self.text[self.at] in "\"'":
                parts.append(self.string())
            else:
                parts.append(self.skip(_BARE))
            self.skip(_SPACE)
            if self.text[self.at] == end:
                return tuple(parts)
            self.at += 1  # the dot

    def value(self, key: Key) -> None:
        start = self.text[self.at]
        if start in "\"'":
            self.string()
        elif start == "[":
            self.at += 1
            self.skip(_GAP)
            index = 0
            while self.text[self.at] != "]":
                self.mark((*key, index))
                self.value((*key, index))
                index += 1
                self.skip(_GAP)
                if self.text[self.at] == ",":
                    self.at += 1
                    self.skip(_GAP)
            self.at += 1
        elif start == "{":
            self.at += 1
            self.skip(_GAP)
            while self.text[self.at] != "}":
                self.pair(key)
                self.skip(_GAP)
                if self.text[self.at] == ",":
                    self.at += 1
                    self.skip(_GAP)
            self.at += 1
        else:
            self.skip(_SCALAR)

    def string(self) -> str:
        """The string that starts here; its exact content only when it is on one line, as a key is."""
        quote = self.text[self.at]
        if self.text.startswith(quote * 3, self.at):
            self.at += 3
            while not self.text.startswith(quote * 3, self.at):
                self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
            self.at += 3
            while self.at < len(self.text) and self.text[self.at] == quote:
                self.at += 1  # up to two quotes may stand before the closing three
            return ""
        begin = self.at = self.at + 1
        while self.text[self.at] != quote:
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        self.at += 1
        raw = self.text[begin : self.at - 1]
        return _ESCAPE.sub(lambda m: _SHORT.get(m[1]) or chr(int(m[1][1:], 16)), raw) if quote == '"' else raw

    def skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        assert match is not None  # the standard reader accepted this text
        self.at = match.end()
        return match.group()

    def mark(self, key: Key, *, again: bool = False) -> None:
        """Notes a key's line; the first mention holds, but a table's own header goes before a mention in passing."""
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        if again or key not in self.places:
            self.places[key] = self.line
