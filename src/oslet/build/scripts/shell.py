"""A reader of shell scripts: what a maintainer script would do on a fresh install, without doing it.

It evaluates the script over an in-memory tree. Every command is looked up in a table of what it would change; one that
isn't in the table is ``Unreadable``, and so is a script that would fail. Nothing is executed.
The grammar is tree-sitter's; the rules are those of the Shell Command Language (POSIX.1-2024, XCU 2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Protocol, TypeAlias

import tree_sitter
import tree_sitter_bash
from tree_sitter import Node

from oslet.build.scripts.arithmetic import evaluate
from oslet.build.scripts.budget import MAX_STEPS, Budget
from oslet.build.scripts.install import ESSENTIAL, PATH, Install
from oslet.build.scripts.signals import Exit, Loop, Return, Unreadable
from oslet.build.scripts.statements import STATEMENTS, assign, body
from oslet.build.scripts.streams import Lines, joined, unsafe
from oslet.build.scripts.words import fields, text_of

MAX_DEPTH = 100
MAX_SCRIPT = 256 << 10
MAX_HEREDOCS = 500
"""Characters and here-documents of one script: the longest of 589 packages has 15 KiB."""
MAX_TEXT = 1 << 20

_NO_BRACE = "a brace before such a character isn't understood"
_BRACKETS = re.compile(r"(?<![^\s])\[ ([^\n\[\]]*\s\\\([^\n\[\]]*) \]")


class Command(Protocol):
    """What a command does to the install; returns its exit status."""

    def __call__(self, shell: Shell, args: list[str], /) -> int: ...


Tables: TypeAlias = tuple[dict[str, Command], ...]
Facts: TypeAlias = Callable[[list[str]], Command | None]


@cache
def _parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


class Shell:
    """One reading of a script: variables, functions, streams, and the install that it changes."""

    def __init__(
        self,
        install: Install,
        tables: Tables,
        facts: Facts,
        source: str,
        args: list[str],
        budget: Budget | None = None,
    ) -> None:
        self.install = install
        self.budget = budget or Budget()
        self.tables, self.facts = tables, facts
        self.source = source
        self.args = args
        self.name = source
        self.variables: dict[str, str] = {}
        self.functions: dict[str, tuple[Node, str]] = {}
        self.cwd = "/"
        self.umask = 0o022
        self.status = 0
        self.substituted = 0
        self.errexit = False
        self.options: set[str] = set()
        self.exported: set[str] = set()
        self.bash = False
        self.uid = self.gid = 0
        self.at_exit = ""
        self.input = Lines("")
        self.node: Node | None = None
        self.tested = 0
        self.out: list[str] = []
        self.err: list[str] = []
        self.locals: list[dict[str, str | None]] = []
        self._texts: dict[str, bytes] = {}
        self.depth = 0

    # — reading —

    def read(self, text: str) -> int:
        """Evaluate a whole script; its exit status. Raises Unreadable."""
        self.bash = bool(re.match(r"#! ?\S*(bash|env bash)\b", text))
        self._texts[self.source] = text.encode()
        try:
            status = self._to_its_end(self._tree(text))
            if self.at_exit:
                self.errexit = False
                self._to_its_end(self.parse(self.at_exit))
        except Loop:
            raise self.unreadable(None, "it leaves a loop that it isn't in") from None
        return status

    def _to_its_end(self, tree: Node) -> int:
        try:
            return self.run(tree)
        except Exit as end:
            return end.status

    def spend(self, size: int = 0) -> None:
        """Takes ``size`` characters off what this reading may handle; Unreadable when that or its time is used up."""
        if not self.budget.allows(size):
            raise self.unreadable(None, "reading it takes too much time or memory")

    def include(self, text: str, source: str) -> int:
        """Evaluate another file in this shell, as ``.`` does."""
        before, self.source = self.source, source
        self._texts[source] = text.encode()
        try:
            return self.run(self._tree(text))
        except Return as end:
            return end.status
        finally:
            self.source = before

    def _tree(self, text: str) -> Node:
        """A whole text parsed. The grammar doesn't know ``\\(`` as a word of ``[``, but as one of ``test``."""
        text = joined(text)
        if found := unsafe(text):
            line = text.count("\n", 0, found.end() - 1)
            raise Unreadable(self.source, line + 1, text.split("\n")[line].strip(), _NO_BRACE)
        tree = self.parse(text)
        if tree.has_error and (respelled := _BRACKETS.sub(r"test \1", text)) != text:
            tree = self.parse(respelled)
        if tree.has_error:
            raise self._unparsed(tree)
        return tree

    def parse(self, text: str) -> Node:
        self.spend(len(text))
        if len(text) > MAX_SCRIPT or text.count("<<") > MAX_HEREDOCS:  # the grammar's time grows with their square
            raise self.unreadable(None, "a script that is too long")
        if unsafe(text):
            raise self.unreadable(None, _NO_BRACE)
        return _parser().parse(text.encode()).root_node

    def _unparsed(self, tree: Node) -> Unreadable:
        node = tree
        while node.type != "ERROR" and not node.is_missing:
            inner = next((c for c in node.children if c.has_error or c.type == "ERROR" or c.is_missing), None)
            if inner is None:  # the grammar lost count of what it took for an error
                break
            node = inner
        return self.unreadable(node, "the shell grammar doesn't cover this")

    def unreadable(self, node: Node | None, why: str) -> Unreadable:
        """The error for what stands at ``node`` (default: the command being evaluated)."""
        node = node or self.node
        if node is None:
            return Unreadable(self.source, 1, "", why)
        text = (node.text or b"").decode("utf-8", "replace").strip().partition("\n")[0]
        return Unreadable(self.source, self._line_of(node), text, why)

    def _line_of(self, node: Node) -> int:
        start = node.start_byte + len(node.text or b"") - len((node.text or b"").lstrip())
        return self._texts.get(self.source, b"").count(b"\n", 0, start) + 1

    def evidence(self) -> str:
        """The command being evaluated, as the reason of what it makes."""
        node = self.node
        self.spend()
        text = (node.text or b"")[:2000].decode("utf-8", "replace") if node is not None else ""
        line = self._line_of(node) if node is not None else 1
        text = " ".join(text.replace("\\\n", " ").split())
        return f"{self.source}, line {line}, would run “{text if len(text) <= 100 else text[:99] + '…'}”"

    # — streams —

    def write(self, text: str) -> None:
        self.spend(len(text))
        self.out.append(text)

    @contextmanager
    def captured(self) -> Iterator[list[str]]:
        """What is written to standard output meanwhile."""
        before, self.out = self.out, []
        try:
            yield self.out
        finally:
            self.out = before

    def known_program(self, path: str) -> bool:
        """Whether a fresh Debian system has this program anyway: those of Essential packages."""
        name = path.rpartition("/")[2]
        return name in ESSENTIAL and path in (name, *(f"{d}/{name}" for d in PATH))

    # — scope (words.Scope) —

    def variable(self, name: str) -> str | None:
        if name.isdigit():
            if name == "0":
                return self.name
            index = int(name) - 1
            return self.args[index] if index < len(self.args) else None
        if name in "#?$!-":
            return {"#": str(len(self.args)), "?": str(self.status), "$": "4242", "!": "", "-": ""}[name]
        value = self.variables.get(name)
        self.spend(len(value or ""))
        return value

    def assign(self, name: str, value: str) -> None:
        if len(value) > MAX_TEXT:
            raise self.unreadable(None, f"{name} grows beyond {MAX_TEXT} characters")
        self.spend(len(value))
        self.variables[name] = value
        if "a" in self.options:
            self.exported.add(name)

    def unset(self, name: str, node: Node) -> None:
        """``set -u``: what isn't set ends the script, or more likely was misread."""
        if "u" in self.options:
            raise self.unreadable(node, f"{name} isn't set")

    def positional(self) -> list[str]:
        self.spend(sum(map(len, self.args)) + len(self.args))
        return self.args

    def substitute(self, node: Node) -> str:
        with self.captured() as out:
            self.substituted = self.apart(lambda: body(self, node))
        return "".join(out)

    def arithmetic(self, text: str, node: Node) -> str:
        expanded = text
        if "$" in text or "`" in text:
            expanded = " ".join(text_of(self, w) for w in self.parse(f': "{text}"').children[0].children[1:])
        try:
            return str(evaluate(expanded, lambda name: self.variables.get(name) or "0"))
        except ValueError as error:
            raise self.unreadable(node, str(error)) from None

    def glob(self, pattern: str) -> list[str]:
        absolute = pattern if pattern.startswith("/") else f"{self.cwd.rstrip('/')}/{pattern}"
        found = self.install.glob(absolute) if "f" not in self.options else []
        skip = len(absolute) - len(pattern)
        self.spend(sum(map(len, found)))
        return [path[skip:] for path in found]

    def path(self, text: str) -> str:
        """An absolute, normal path for what a command was given."""
        self.spend(len(text))
        return self.install.normal(text, self.cwd)

    # — statements —

    def run(self, node: Node) -> int:
        self.budget.steps -= 1
        if self.budget.steps < 0:
            raise self.unreadable(node, f"it takes more than {MAX_STEPS} steps")
        self.spend()
        kind = Shell._command if node.type == "command" else STATEMENTS.get(node.type)
        if kind is None:
            raise self.unreadable(node, f"a {node.type.replace('_', ' ')} isn't understood")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.unreadable(node, "it is nested too deeply")
        try:
            self.status = kind(self, node)
        finally:
            self.depth -= 1
        return self.status

    def fails(self, node: Node, status: int) -> int:
        """``set -e``: a failure that nothing tests ends the script."""
        if status and self.errexit and not self.tested:
            self.node = node
            raise Exit(status)
        return status

    @contextmanager
    def testing(self) -> Iterator[None]:
        self.tested += 1
        try:
            yield
        finally:
            self.tested -= 1

    def apart(self, body: Callable[[], int]) -> int:
        """Run in a subshell: variables, functions and folder are this one's own."""
        kept = (dict(self.variables), dict(self.functions), self.cwd, list(self.args), self.errexit)
        options, exported = self.options, set(self.exported)
        try:
            return body()
        except Exit as end:
            return end.status
        finally:
            self.variables, self.functions, self.cwd, self.args, self.errexit = kept
            self.options, self.exported = options, exported

    # — commands —

    def _command(self, node: Node) -> int:
        words: list[str] = []
        before: dict[str, str | None] = {}
        exported = set(self.exported)
        self.substituted = 0
        end = -1
        for child in node.children:
            if child.start_byte == end and not (child.text or b" ")[:1].isspace():
                return self._respelled(node)
            end = child.end_byte
            if child.type == "variable_assignment":
                name = child.child_by_field_name("name")
                spelled = (name.text or b"").decode() if name is not None else ""
                before.setdefault(spelled, self.variables.get(spelled))
                assign(self, child)
            elif child.type == "command_name":
                words.extend(fields(self, child.children[0]))
            elif child.type in ("file_redirect", "herestring_redirect"):
                continue
            else:
                words.extend(fields(self, child))
        self.node = node
        try:
            self.exported.update(before if words else ())
            status = self.call(words, node) if words else self.substituted
        finally:
            self.exported -= before.keys() - exported
            for variable, value in before.items() if words else ():
                if value is None:
                    self.variables.pop(variable, None)
                else:
                    self.variables[variable] = value
        self.node = node
        return self.fails(node, status)

    def _respelled(self, node: Node) -> int:
        """The grammar sometimes takes ``/$2`` apart; it never does with ``/${2}``."""
        text = (node.text or b"").decode("utf-8", "replace")
        spelled = re.sub(r"\$([A-Za-z_]\w*|\d)", r"${\1}", text)
        if spelled == text or "'" in text:
            raise self.unreadable(node, "the shell grammar splits a word in two")
        try:
            return self._command(self.parse(spelled).children[0])
        finally:
            self.node = node

    def call(self, words: list[str], node: Node | None = None) -> int:
        """Evaluate a command that is already split into words."""
        name, args = words[0], words[1:]
        if name in self.functions:
            return self._call_function(name, args)
        for table in self.tables:
            known = table.get(name) or (table.get(name.rpartition("/")[2]) if name.startswith("/") else None)
            if known is not None:
                return known(self, args)
        fact = self.facts(words)
        return fact(self, args) if fact is not None else self._other_script(name, args, node)

    def _call_function(self, name: str, args: list[str]) -> int:
        body, source = self.functions[name]
        kept = (self.args, self.source)
        self.args, self.source = args, source
        self.locals.append({})
        try:
            return self.run(body)
        except Return as end:
            return end.status
        finally:
            self.args, self.source = kept
            for local, value in self.locals.pop().items():
                if value is None:
                    self.variables.pop(local, None)
                else:
                    self.variables[local] = value

    def _other_script(self, name: str, args: list[str], node: Node | None) -> int:
        """A command that is itself a shell script of the image is read in turn; anything else isn't understood."""
        path = self.install.find_program(name)
        text = self.install.script(path) if path else None
        if path is None or text is None:
            what = "does something that oslet can't foresee" if path else "isn't a command that oslet knows"
            raise self.unreadable(node, f"{name[:80]} {what}")
        inner = Shell(self.install, self.tables, self.facts, path, args, self.budget)
        inner.variables = {n: v for n, v in self.variables.items() if n in self.exported}
        inner.exported = set(inner.variables)
        inner.input, inner.out, inner.cwd = self.input, self.out, self.cwd
        inner.depth = self.depth + 10
        if inner.depth > MAX_DEPTH:
            raise self.unreadable(node, "scripts call each other too deeply")
        inner.errexit = text.partition("\n")[0].rstrip().endswith(" -e")
        return inner.read(text)
