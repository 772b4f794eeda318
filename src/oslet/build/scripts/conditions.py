"""``test`` and ``[``: what they answer on a fresh install (POSIX.1-2024, test)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from oslet.build.scripts.words import matches

if TYPE_CHECKING:
    from oslet.build.scripts.shell import Shell

_NUMBERS: dict[str, Callable[[int, int], bool]] = {
    "-eq": lambda a, b: a == b,
    "-ne": lambda a, b: a != b,
    "-lt": lambda a, b: a < b,
    "-le": lambda a, b: a <= b,
    "-gt": lambda a, b: a > b,
    "-ge": lambda a, b: a >= b,
}
_BINARY = frozenset({"=", "==", "!=", "<", ">", "=~", "-nt", "-ot", "-ef", *_NUMBERS})
_UNARY = frozenset("-" + c for c in "bcdefghkLnOGprsStuwxz")


def holds(shell: Shell, args: list[str]) -> bool:
    """The answer for these arguments. Raises Unreadable for an expression that isn't understood."""
    rest = list(args)
    if not rest:
        return False
    if len(rest) == 1:
        return rest[0] != ""
    value = _or(shell, rest)
    if rest:
        raise shell.unreadable(None, "a test that isn't understood")
    return value


def _or(shell: Shell, rest: list[str]) -> bool:
    value = _and(shell, rest)
    while rest and rest[0] in ("-o", "||"):
        rest.pop(0)
        right = _and(shell, rest)
        value = value or right
    return value


def _and(shell: Shell, rest: list[str]) -> bool:
    value = _one(shell, rest)
    while rest and rest[0] in ("-a", "&&"):
        rest.pop(0)
        right = _one(shell, rest)
        value = value and right
    return value


def _one(shell: Shell, rest: list[str]) -> bool:
    if not rest:
        raise shell.unreadable(None, "a test that ends early")
    if len(rest) >= 3 and rest[1] in _BINARY:
        left, operator, right = rest[0], rest[1], rest[2]
        del rest[:3]
        return _compare(shell, left, operator, right)
    word = rest.pop(0)
    if word == "!":
        return not _one(shell, rest)
    if word == "(":
        value = _or(shell, rest)
        if not rest or rest.pop(0) != ")":
            raise shell.unreadable(None, "a test with an open parenthesis")
        return value
    if word in _UNARY and rest and not (rest[0] in ("-a", "-o") and len(rest) != 1):
        return _file_or_text(shell, word[1], rest.pop(0))
    if word in _UNARY and word not in ("-a", "-o"):
        return True
    return word != ""


def _compare(shell: Shell, left: str, operator: str, right: str) -> bool:
    if operator in _NUMBERS:
        try:
            return _NUMBERS[operator](int(left or "0"), int(right or "0"))
        except ValueError:
            return False
    if operator in ("-nt", "-ot", "-ef"):
        raise shell.unreadable(None, "a comparison of files")
    if operator == "=~":
        raise shell.unreadable(None, "a regular expression of bash")
    if operator in ("<", ">"):
        return (left < right) == (operator == "<")
    equal = matches(left, right) if shell.node is not None and (shell.node.text or b"")[:2] == b"[[" else left == right
    return equal == (operator != "!=")


def _file_or_text(shell: Shell, operator: str, word: str) -> bool:
    if operator == "n":
        return word != ""
    if operator == "z":
        return word == ""
    if operator == "t":
        return False
    if not word:
        return False
    path = shell.path(word)
    if operator in "hL":
        entry = shell.install.look(path, follow=False)
        return entry is not None and entry.kind == "link"
    entry = shell.install.look(path)
    if entry is None:
        return operator == "x" and shell.known_program(path)
    if operator in "erw":
        return True
    if operator in "OG":
        return entry.uid == shell.uid if operator == "O" else entry.gid == shell.gid
    if operator in "ugk":
        return bool(entry.mode & {"u": 0o4000, "g": 0o2000, "k": 0o1000}[operator])
    if operator == "s":
        return entry.size > 0 or entry.kind == "dir"
    if operator == "x":
        return entry.kind == "dir" or bool(entry.mode & 0o111)
    return (operator == "f" and entry.kind == "file") or (operator == "d" and entry.kind == "dir")
