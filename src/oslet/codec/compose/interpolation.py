"""``${NAME}`` in a Compose file's values: https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from oslet.codec.conform import Faults
from oslet.codec.places import Key
from oslet.codec.texts import TextError

MAX_NESTED = 8
MAX_LONG = 1 << 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:=\s*(.*?)\s*)?")


class Interpolation:
    """Fills values from ``environment``; ``unset`` are the names that were asked for and had none."""

    def __init__(self, environment: Mapping[str, str], faults: Faults) -> None:
        self.environment = environment
        self.faults = faults
        self.unset: set[str] = set()

    def everywhere(self, value: Any, key: Key = ()) -> Any:
        """The value with each of its texts filled; keys stay as they are."""
        if isinstance(value, dict):
            return {name: self.everywhere(each, (*key, name)) for name, each in value.items()}
        if isinstance(value, list):
            return [self.everywhere(each, (*key, i)) for i, each in enumerate(value)]
        if not isinstance(value, str) or "$" not in value:
            return value
        try:
            return self.text(value)
        except TextError as error:
            self.faults.add(key, error.what, error.hint)
            return value

    def text(self, text: str, depth: int = 0) -> str:
        """TextError for what is no substitution, and for ``${NAME:?…}`` that has no value."""
        if depth > MAX_NESTED:
            raise TextError("substitutions nested too deeply")
        filled, at = "", 0
        while (start := text.find("$", at)) >= 0:
            filled += text[at:start]
            at = start + 1
            if text.startswith("$", at):
                filled, at = filled + "$", at + 1
            elif text.startswith("{", at):
                end = _closing(text, at + 1)
                filled, at = filled + self.braced(text[at + 1 : end], depth), end + 1
            elif name := _NAME.match(text, at):
                filled, at = filled + self.value(name[0]), name.end()
            else:
                raise TextError(f"a lone $ in {text[:40]!r}", "write $$ for a literal $")
            if len(filled) > MAX_LONG:
                raise TextError("longer than 1 MiB")
        return filled + text[at:]

    def braced(self, inner: str, depth: int) -> str:
        name = _NAME.match(inner)
        operator = _OPERATOR.match(inner, name.end()) if name else None
        if not name or (operator is None and name.end() < len(inner)):
            raise TextError(f"{'${' + inner[:40] + '}'} is no substitution", "write $$ for a literal $")
        if operator is None:
            return self.value(name[0])
        word = inner[operator.end() :]
        given = self.environment.get(name[0])
        there = given is not None and (given != "" or ":" not in operator[0])
        if operator[0][-1] == "+":
            return self.text(word, depth + 1) if there else ""
        if there:
            return str(given)
        if operator[0][-1] == "?":
            raise TextError(
                f"{name[0]} has no value{f': {self.text(word, depth + 1)}' if word else ''}", f"set {name[0]}"
            )
        return self.text(word, depth + 1)

    def value(self, name: str) -> str:
        if name not in self.environment:
            self.unset.add(name)
        return self.environment.get(name, "")


def _closing(text: str, at: int) -> int:
    """Where the brace that was opened before ``at`` closes."""
    depth = 1
    for match in re.compile(r"\$\{|\}").finditer(text, at):
        depth += 1 if match[0] == "${" else -1
        if depth == 0:
            return match.start()
    raise TextError(f"a substitution doesn't end in {text[:40]!r}", "write } at its end, or $$ for a literal $")


def read_env(text: str) -> dict[str, str | None]:
    """The variables of an env file: ``NAME=VALUE`` lines, ``#`` comments, quotes; None for a bare name."""
    found: dict[str, str | None] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#") or not (match := _LINE.fullmatch(line)):
            continue
        value = match[2]
        if value and value[0] in "\"'" and (end := value.find(value[0], 1)) > 0:
            value = value[1:end]
        elif value:
            value = re.sub(r"(^|\s+)#.*$", "", value)
        found[match[1]] = value
    return found
