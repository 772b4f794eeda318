"""Shell words → fields: expansion, splitting and globbing as in the Shell Command Language (POSIX.1-2024, XCU 2.6)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol

from tree_sitter import Node

EXPANSIONS = frozenset({"simple_expansion", "expansion", "command_substitution", "arithmetic_expansion"})
MAX_PATTERN = 4096
MAX_MATCHING = 50_000_000
"""Characters of a shell pattern, and of a text times those of its pattern."""
_OPERATOR = re.compile(r"(:?[-=+?]|##?|%%?)(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z_0-9]*|[0-9]+|[@*#?$!-]")


class Piece(NamedTuple):
    """A part of a word: quoted text, literal text, the result of an expansion (to be split), or a break of fields."""

    text: str
    kind: Literal["quoted", "literal", "split", "break"]


class Scope(Protocol):
    """What expansion asks of the shell."""

    def variable(self, name: str) -> str | None: ...

    def assign(self, name: str, value: str) -> None: ...

    def positional(self) -> list[str]: ...

    def substitute(self, node: Node) -> str: ...

    def arithmetic(self, text: str, node: Node) -> str: ...

    def glob(self, pattern: str) -> list[str]: ...

    def parse(self, text: str) -> Node: ...

    def unset(self, name: str, node: Node) -> None: ...

    def unreadable(self, node: Node, why: str) -> Exception: ...


def fields(scope: Scope, node: Node) -> list[str]:
    """The fields that one word becomes: none, one or several."""
    found: list[list[Piece]] = []
    open_field: list[Piece] | None = None
    separators = scope.variable("IFS")
    separators = " \t\n" if separators is None else separators
    for piece in pieces(scope, node, quoted=False):
        if piece.kind == "break":
            if open_field is not None:
                found.append(open_field)
            open_field = None
        elif piece.kind != "split":
            open_field = [] if open_field is None else open_field
            open_field.append(piece)
        else:
            parts = re.split(f"[{re.escape(separators)}]+", piece.text) if separators else [piece.text]
            for index, part in enumerate(parts):
                if index and open_field is not None:
                    found.append(open_field)
                    open_field = None
                if part:
                    open_field = [] if open_field is None else open_field
                    open_field.append(Piece(part, "literal"))
    if open_field is not None:
        found.append(open_field)
    return [text for field in found for text in _globbed(scope, field)]


def text_of(scope: Scope, node: Node) -> str:
    """What the word becomes where no splitting happens: in assignments, redirections and ``case``."""
    return "".join(" " if p.kind == "break" else p.text for p in pieces(scope, node, quoted=False))


def pattern_of(scope: Scope, node: Node) -> str:
    """The word as an ``fnmatch`` pattern: quoted characters stand for themselves."""
    return "".join(_escape(p.text) if p.kind == "quoted" else p.text for p in pieces(scope, node, quoted=False))


def matches(text: str, pattern: str) -> bool:
    """Whether a shell pattern matches the whole text. ValueError when finding out could take too long."""
    if len(pattern) > MAX_PATTERN or len(text) * len(pattern) > MAX_MATCHING:
        raise ValueError("a pattern or a text that is too long")
    return re.match(fnmatch.translate(pattern.replace("[^", "[!")), text) is not None  # re keeps few of them


def heredoc_text(scope: Scope, redirect: Node) -> str:
    """The text of a here-document, expanded unless its delimiter is quoted."""
    start = next(c for c in redirect.children if c.type == "heredoc_start")
    body = next((c for c in redirect.children if c.type == "heredoc_body"), None)
    if body is None or body.text is None or start.text is None:
        return ""
    if start.text[:1] in b"'\"\\":
        text = body.text.decode("utf-8", "replace")
    else:
        text = _expanded_body(scope, body, body.text.decode("utf-8", "replace"))
    if redirect.children[0].type == "<<-" or any(c.type == "<<-" for c in redirect.children):
        text = re.sub(r"^\t+", "", text, flags=re.MULTILINE)
    return text


def _expanded_body(scope: Scope, node: Node, text: str) -> str:
    """A here-document as a quoted word, where quotes are plain characters: the grammar misses expansions in bodies."""
    if not re.search(r"[$`\\]", text):
        return text
    if re.search(r'\$\([^)]*"|`[^`]*"[^`]*`', text):
        raise scope.unreadable(node, "a here-document with quotes inside a substitution")
    quoted = re.sub(r'\\?"', lambda m: '\\\\\\"' if len(m[0]) == 2 else '\\"', text)
    command = scope.parse(f': "{quoted}"')
    if command.has_error:
        raise scope.unreadable(node, "a here-document that isn't understood")
    return text_of(scope, command.children[0].children[-1])


def pieces(scope: Scope, node: Node, *, quoted: bool) -> Iterator[Piece]:
    """The parts of a word, expanded."""
    kind = node.type
    source = (node.text or b"").decode("utf-8", "replace").lstrip()
    if kind == "raw_string":
        yield Piece(source[1:-1], "quoted")
    elif kind == "string":
        inner = list(_inside(scope, node, node.start_byte + 1, node.end_byte - 1, quoted=True))
        if not (inner == [] and '"$@"' in source):
            yield Piece("", "quoted")
        yield from inner
    elif kind == "ansi_c_string":
        yield Piece(source[2:-1].encode().decode("unicode_escape"), "quoted")
    elif kind == "concatenation":
        for child in node.children:
            yield from pieces(scope, child, quoted=quoted)
    elif kind in EXPANSIONS:
        yield from _expanded(scope, node, source, quoted=quoted)
    elif kind in ("brace_expression", "process_substitution", "array", "subscript"):
        raise scope.unreadable(node, "a construct of bash that isn't understood")
    else:
        yield from _inside(scope, node, node.start_byte, node.end_byte, quoted=quoted)


def _inside(scope: Scope, node: Node, start: int, end: int, *, quoted: bool) -> Iterator[Piece]:
    """The text between two bytes of ``node``: expansions expanded, what lies between them taken as written."""
    whole = node.text or b""
    at = start
    for child in _expansions(node):
        text = child.text or b""
        begins = child.start_byte + len(text) - len(text.lstrip())  # the grammar counts blanks before "$(" to it
        yield from _written(whole[at - node.start_byte : begins - node.start_byte], quoted=quoted)
        if child.type in EXPANSIONS:
            source = text.decode("utf-8", "replace").lstrip()
            yield from _expanded(scope, child, source, quoted=quoted)
        else:
            yield from pieces(scope, child, quoted=quoted)
        at = child.end_byte
    yield from _written(whole[at - node.start_byte : end - node.start_byte], quoted=quoted)


def _expansions(node: Node) -> Iterator[Node]:
    for child in node.children:
        if child.type in EXPANSIONS or child.type in ("string", "raw_string"):
            yield child
        elif child.child_count:
            yield from _expansions(child)


def _written(raw: bytes, *, quoted: bool) -> Iterator[Piece]:
    """Literal source text: backslashes resolved, quotes (which the grammar leaves inside patterns) understood."""
    text = raw.decode("utf-8", "replace")
    if not text:
        return
    if quoted:
        yield Piece(re.sub(r"\\([$`\"\\])|\\\n", lambda m: m[1] or "", text), "quoted")
        return
    for match in re.finditer(r"\\(.)|\\\n|'([^']*)'|\"([^\"]*)\"|([^\\'\"]+|['\"])", text, re.DOTALL):
        if match[4] is not None:
            yield Piece(match[4], "literal")
        elif match[1] != "\n":
            yield Piece(match[1] or match[2] or match[3] or "", "quoted")


def _expanded(scope: Scope, node: Node, source: str, *, quoted: bool) -> Iterator[Piece]:
    kind: Literal["quoted", "split"] = "quoted" if quoted else "split"
    if node.type == "command_substitution":
        yield Piece(scope.substitute(node).rstrip("\n"), kind)
    elif node.type == "arithmetic_expansion":
        yield Piece(scope.arithmetic(source[3:-2] if source.startswith("$((") else source[2:-1], node), kind)
    elif source in ("$@", "${@}", "$*", "${*}"):
        values = scope.positional()
        if quoted and "*" in source:
            yield Piece(" ".join(values), kind)
            return
        for index, value in enumerate(values):
            if index:
                yield Piece("", "break")
            yield Piece(value, kind)
    elif node.type == "simple_expansion":
        yield Piece(_value(scope, source[1:], node), kind)
    else:
        yield from _braced(scope, node, source[2:-1], kind)


def _value(scope: Scope, name: str, node: Node) -> str:
    if name in "@*":
        return " ".join(scope.positional())
    value = scope.variable(name)
    if value is None:
        scope.unset(name, node)
    return value or ""


def _braced(scope: Scope, node: Node, inner: str, kind: Literal["quoted", "split"]) -> Iterator[Piece]:
    """``${…}``: defaults, alternatives, lengths and the four removals (XCU 2.6.2)."""
    if inner.startswith("#") and len(inner) > 1 and _NAME.fullmatch(inner[1:]):
        yield Piece(str(len(_value(scope, inner[1:], node))), kind)
        return
    name = _NAME.match(inner)
    operator = _OPERATOR.fullmatch(inner[name.end() :]) if name else None
    if name is None or (operator is None and name.end() != len(inner)):
        raise scope.unreadable(node, "an expansion of bash that isn't understood")
    value = scope.variable(name[0]) if name[0] not in "@*" else (" ".join(scope.positional()) or None)
    if value is None and name[0] not in "@*" and (operator is None or operator[1][0] in "#%"):
        scope.unset(name[0], node)
    if operator is None:
        yield Piece(value or "", kind)
        return
    sign, operand = operator[1], operator[2]
    if sign[0] in "#%":
        yield Piece(_stripped(value or "", sign, _operand_pattern(scope, operand)), kind)
        return
    absent = value is None or (sign.startswith(":") and value == "")
    if sign[-1] == "+":
        if not absent:
            yield from _operand(scope, operand, kind)
    elif not absent:
        yield Piece(value or "", kind)
    elif sign[-1] == "?":
        raise scope.unreadable(node, f"{name[0]} isn't set")
    else:
        given = list(_operand(scope, operand, kind))
        if sign[-1] == "=":
            scope.assign(name[0], "".join(p.text for p in given))
        yield from given


def _operand(scope: Scope, operand: str, kind: Literal["quoted", "split"]) -> Iterator[Piece]:
    if not operand:
        return
    if "$" not in operand and "`" not in operand:
        bare = operand.replace('"', "").replace("'", "") if kind == "split" else operand.replace('"', "")
        yield Piece(bare, kind)
        return
    for word in _words(scope, operand):
        yield from pieces(scope, word, quoted=kind == "quoted")


def _operand_pattern(scope: Scope, operand: str) -> str:
    if "$" not in operand:
        return "".join(
            _escape(p.text) if p.kind == "quoted" else p.text for p in _written(operand.encode(), quoted=False)
        )
    return "".join(pattern_of(scope, word) for word in _words(scope, operand))


def _words(scope: Scope, operand: str) -> list[Node]:
    command = scope.parse(f": {operand}").children[0]
    return [c for c in command.children if c.type != "command_name"]


def _stripped(value: str, sign: str, pattern: str) -> str:
    if len(value) * len(value) * max(1, len(pattern)) > MAX_MATCHING * 4:
        raise ValueError("a text that is too long to take a pattern off")
    upwards = sign in ("#", "%%")
    for cut in range(len(value) + 1) if upwards else range(len(value), -1, -1):
        if sign[0] == "#" and matches(value[:cut], pattern):
            return value[cut:]
        if sign[0] == "%" and matches(value[cut:], pattern):
            return value[:cut]
    return value


def _escape(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


def _globbed(scope: Scope, field: list[Piece]) -> list[str]:
    plain = "".join(p.text for p in field)
    if not any(p.kind == "literal" and re.search(r"[*?\[]", p.text) for p in field):
        return [plain]
    pattern = "".join(_escape(p.text) if p.kind == "quoted" else p.text for p in field)
    return scope.glob(pattern) or [plain]
