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
from oslet.build.scripts.install import ESSENTIAL, PATH, Install
from oslet.build.scripts.words import fields, heredoc_text, matches, pattern_of, text_of

MAX_STEPS = 100_000
MAX_DEPTH = 60
_SILENT = frozenset({"/dev/null", "/dev/stderr", "/dev/stdout", "/dev/tty", "/dev/console"})


class Unreadable(Exception):
    """A place that isn't understood: the file, the line (from 1), its text, and why."""

    def __init__(self, source: str, line: int, text: str, why: str) -> None:
        super().__init__(why)
        self.source, self.line, self.text, self.why = source, line, text, why


class Exit(Exception):  # noqa: N818
    """The script ends with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Return(Exit):
    """A function, or a file that is read with ``.``, ends with this status."""


class Loop(Exception):  # noqa: N818
    """``break`` or ``continue``, through so many loops."""

    def __init__(self, *, again: bool, levels: int) -> None:
        super().__init__(levels)
        self.again, self.levels = again, levels


class Command(Protocol):
    """What a command does to the install; returns its exit status."""

    def __call__(self, shell: Shell, args: list[str], /) -> int: ...


Tables: TypeAlias = tuple[dict[str, Command], ...]
Facts: TypeAlias = Callable[[list[str]], Command | None]


@cache
def _parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


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


class Shell:
    """One reading of a script: variables, functions, streams, and the install that it changes."""

    def __init__(self, install: Install, tables: Tables, facts: Facts, source: str, args: list[str]) -> None:
        self.install = install
        self.tables, self.facts = tables, facts
        self.source = source
        self.args = args
        self.name = source
        self.variables: dict[str, str] = {}
        self.functions: dict[str, tuple[Node, str]] = {}
        self.cwd = "/"
        self.umask = 0o022
        self.status = 0
        self.errexit = False
        self.nounset = False
        self.uid = self.gid = 0
        self.at_exit = ""
        self.input = Lines("")
        self.node: Node | None = None
        self._tested = 0
        self._out: list[str] = []
        self._err: list[str] = []
        self._locals: list[dict[str, str | None]] = []
        self._texts: dict[str, bytes] = {}
        self._steps = 0
        self._depth = 0
        self._kinds: dict[str, Callable[[Node], int]] = {
            "program": self._body,
            "command": self._command,
            "list": self._list,
            "if_statement": self._if,
            "case_statement": self._case,
            "test_command": self._test,
            "negated_command": self._not,
            "pipeline": self._pipeline,
            "compound_statement": self._body,
            "do_group": self._body,
            "subshell": self._subshell,
            "for_statement": self._for,
            "while_statement": self._while,
            "function_definition": self._function,
            "redirected_statement": self._redirected,
            "variable_assignment": self._assignments,
            "variable_assignments": self._assignments,
            "declaration_command": self._declaration,
            "unset_command": self._unset,
        }

    # — reading —

    def read(self, text: str) -> int:
        """Evaluate a whole script; its exit status. Raises Unreadable."""
        self._texts[self.source] = text.encode()
        tree = self.parse(text)
        if tree.has_error:
            raise self._unparsed(tree)
        try:
            status = self.run(tree)
        except Exit as end:
            status = end.status
        if self.at_exit:
            self.errexit, last = False, self.parse(self.at_exit)
            self.apart(lambda: self.run(last))
        return status

    def include(self, text: str, source: str) -> int:
        """Evaluate another file in this shell, as ``.`` does."""
        before, self.source = self.source, source
        self._texts[source] = text.encode()
        try:
            tree = self.parse(text)
            if tree.has_error:
                raise self._unparsed(tree)
            return self.run(tree)
        except Return as end:
            return end.status
        finally:
            self.source = before

    def parse(self, text: str) -> Node:
        return _parser().parse(joined(text).encode()).root_node

    def _unparsed(self, tree: Node) -> Unreadable:
        node = tree
        while node.type != "ERROR" and not node.is_missing:
            node = next(c for c in node.children if c.has_error or c.type == "ERROR" or c.is_missing)
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
        text = (node.text or b"").decode("utf-8", "replace") if node is not None else ""
        line = self._line_of(node) if node is not None else 1
        text = " ".join(text.replace("\\\n", " ").split())
        return f"{self.source}, line {line}, would run “{text if len(text) <= 100 else text[:99] + '…'}”"

    # — streams —

    def write(self, text: str) -> None:
        self._out.append(text)

    @contextmanager
    def captured(self) -> Iterator[list[str]]:
        """What is written to standard output meanwhile."""
        before, self._out = self._out, []
        try:
            yield self._out
        finally:
            self._out = before

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
        return self.variables.get(name)

    def assign(self, name: str, value: str) -> None:
        self.variables[name] = value

    def positional(self) -> list[str]:
        return self.args

    def substitute(self, node: Node) -> str:
        with self.captured() as out:
            self.status = self.apart(lambda: self._body(node))
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
        found = self.install.glob(absolute)
        skip = len(absolute) - len(pattern)
        return [path[skip:] for path in found]

    def path(self, text: str) -> str:
        """An absolute, normal path for what a command was given."""
        return self.install.normal(text, self.cwd)

    # — statements —

    def run(self, node: Node) -> int:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise self.unreadable(node, f"it takes more than {MAX_STEPS} steps")
        kind = self._kinds.get(node.type)
        if kind is None:
            raise self.unreadable(node, f"a {node.type.replace('_', ' ')} isn't understood")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.unreadable(node, "it is nested too deeply")
        try:
            self.status = kind(node)
        finally:
            self._depth -= 1
        return self.status

    def _fails(self, node: Node, status: int) -> int:
        """``set -e``: a failure that nothing tests ends the script."""
        if status and self.errexit and not self._tested:
            self.node = node
            raise Exit(status)
        return status

    @contextmanager
    def _testing(self) -> Iterator[None]:
        self._tested += 1
        try:
            yield
        finally:
            self._tested -= 1

    def _body(self, node: Node) -> int:
        status = 0
        for child in node.named_children:
            if child.type != "comment" and not (child.type == "heredoc_body"):
                status = self.run(child)
        return status

    def _list(self, node: Node) -> int:
        left, operator, right = node.children[0], node.children[1].type, node.children[-1]
        with self._testing():
            status = self.run(left)
        if (status == 0) == (operator == "&&"):
            return self.run(right)
        return status

    def _if(self, node: Node) -> int:
        return self._branch(node)

    def _branch(self, node: Node) -> int:
        at = next(i for i, c in enumerate(node.children) if c.type == "then")
        status = 0
        with self._testing():
            for child in node.children[1:at]:
                if child.is_named and child.type != "comment":
                    status = self.run(child)
        clauses = ("elif_clause", "else_clause")
        if status == 0:
            return self._run_all([c for c in node.children[at + 1 :] if c.is_named and c.type not in clauses])
        for clause in node.children[at + 1 :]:
            if clause.type == "elif_clause":
                with self._testing():
                    then = next(i for i, c in enumerate(clause.children) if c.type == "then")
                    for child in clause.children[1:then]:
                        if child.is_named and child.type != "comment":
                            status = self.run(child)
                if status == 0:
                    return self._run_all([c for c in clause.children[then + 1 :] if c.is_named])
            elif clause.type == "else_clause":
                return self._run_all([c for c in clause.children[1:] if c.is_named])
        return 0

    def _run_all(self, nodes: list[Node]) -> int:
        status = 0
        for child in nodes:
            if child.type != "comment":
                status = self.run(child)
        return status

    def _case(self, node: Node) -> int:
        value = node.child_by_field_name("value")
        subject = text_of(self, value) if value is not None else ""
        for item in node.children:
            if item.type != "case_item":
                continue
            closing = next(i for i, c in enumerate(item.children) if c.type == ")")
            patterns = [c for c in item.children[:closing] if c.is_named]
            if any(matches(subject, pattern_of(self, p)) for p in patterns):
                return self._run_all([c for c in item.children[closing + 1 :] if c.is_named])
        return 0

    def _test(self, node: Node) -> int:
        words: list[str] = []
        self._flatten(node, words)
        self.node = node
        from oslet.build.scripts.conditions import holds

        return self._fails(node, 0 if holds(self, words[1:-1]) else 1)

    def _flatten(self, node: Node, words: list[str]) -> None:
        for child in node.children:
            if child.type in ("unary_expression", "binary_expression", "parenthesized_expression", "test_command"):
                self._flatten(child, words)
            elif not child.is_named or child.type == "test_operator":
                words.append((child.text or b"").decode())
            else:
                words.extend(fields(self, child))

    def _not(self, node: Node) -> int:
        with self._testing():
            return 0 if self.run(node.children[-1]) else 1

    def _pipeline(self, node: Node) -> int:
        stages = [c for c in node.children if c.is_named]
        before = self.input
        status = 0
        try:
            for stage in stages[:-1]:
                with self.captured() as out, self._testing():
                    status = self.apart(lambda stage=stage: self.run(stage))  # type: ignore[misc]
                self.input = Lines("".join(out))
            with self._testing():
                status = self.apart(lambda: self.run(stages[-1]))
        finally:
            self.input = before
        if stages[0].type == "negated_command":
            return 0 if status else 1
        return self._fails(node, status)

    def apart(self, body: Callable[[], int]) -> int:
        """Run in a subshell: variables, functions and folder are this one's own."""
        kept = (dict(self.variables), dict(self.functions), self.cwd, list(self.args), self.errexit)
        try:
            return body()
        except Exit as end:
            return end.status
        finally:
            self.variables, self.functions, self.cwd, self.args, self.errexit = kept

    def _subshell(self, node: Node) -> int:
        return self._fails(node, self.apart(lambda: self._body(node)))

    def _for(self, node: Node) -> int:
        name = node.child_by_field_name("variable")
        body = node.child_by_field_name("body")
        assert name is not None and body is not None
        values = [v for c in node.children_by_field_name("value") for v in fields(self, c)]
        if not any(c.type == "in" for c in node.children):
            values = list(self.args)
        return self._loop(body, iter(values), (name.text or b"").decode())

    def _while(self, node: Node) -> int:
        body = node.child_by_field_name("body")
        assert body is not None
        until = node.children[0].type == "until"

        def turns() -> Iterator[str]:
            while True:
                with self._testing():
                    status = self._run_all([c for c in node.children[1:] if c.is_named and c.type != "do_group"])
                if (status == 0) == until:
                    return
                yield ""

        return self._loop(body, turns(), "")

    def _loop(self, body: Node, values: Iterator[str], name: str) -> int:
        status = 0
        for value in values:
            if name:
                self.assign(name, value)
            try:
                status = self.run(body)
            except Loop as jump:
                if jump.levels > 1:
                    raise Loop(again=jump.again, levels=jump.levels - 1) from None
                if not jump.again:
                    break
        return status

    def _function(self, node: Node) -> int:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        assert name is not None and body is not None
        self.functions[(name.text or b"").decode()] = (body, self.source)
        return 0

    # — commands —

    def _assignments(self, node: Node) -> int:
        self.status = 0
        for assignment in node.children if node.type == "variable_assignments" else [node]:
            self._assign(assignment)
        return self._fails(node, self.status)

    def _assign(self, node: Node) -> str:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None or name.type != "variable_name" or any(c.type == "+=" for c in node.children):
            raise self.unreadable(node, "an assignment of bash that isn't understood")
        spelled = (name.text or b"").decode()
        self.assign(spelled, text_of(self, value) if value is not None else "")
        return spelled

    def _declaration(self, node: Node) -> int:
        local = node.children[0].type in ("local", "declare", "typeset") and bool(self._locals)
        for child in node.children[1:]:
            names = [(child.text or b"").decode()] if child.type == "variable_name" else []
            if child.type == "variable_assignment":
                target = child.child_by_field_name("name")
                names = [(target.text or b"").decode()] if target is not None else []
            elif child.type not in ("variable_name", "word"):
                names = [w.partition("=")[0] for w in fields(self, child)]
            for name in names if local else ():
                self._locals[-1].setdefault(name, self.variables.get(name))
            if child.type == "variable_assignment":
                self._assign(child)
            elif local and child.type == "variable_name":
                self.variables.pop(names[0], None)
        return 0

    def _unset(self, node: Node) -> int:
        for child in node.children[1:]:
            for name in fields(self, child):
                self.variables.pop(name, None)
        return 0

    def _command(self, node: Node) -> int:
        words: list[str] = []
        before: dict[str, str | None] = {}
        self.status = 0
        end = -1
        for child in node.children:
            if child.start_byte == end and not (child.text or b" ")[:1].isspace():
                return self._respelled(node)
            end = child.end_byte
            if child.type == "variable_assignment":
                name = child.child_by_field_name("name")
                spelled = (name.text or b"").decode() if name is not None else ""
                before.setdefault(spelled, self.variables.get(spelled))
                self._assign(child)
            elif child.type == "command_name":
                words.extend(fields(self, child.children[0]))
            elif child.type in ("file_redirect", "herestring_redirect"):
                continue
            else:
                words.extend(fields(self, child))
        self.node = node
        try:
            status = self.call(words, node) if words else self.status
        finally:
            for name, value in before.items() if words else ():
                if value is None:
                    self.variables.pop(name, None)
                else:
                    self.variables[name] = value
        self.node = node
        return self._fails(node, status)

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
        self._locals.append({})
        try:
            return self.run(body)
        except Return as end:
            return end.status
        finally:
            self.args, self.source = kept
            for local, value in self._locals.pop().items():
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
            raise self.unreadable(node, f"{name} {what}")
        inner = Shell(self.install, self.tables, self.facts, path, args)
        inner.variables = dict(self.variables)
        inner.input, inner._out, inner.cwd = self.input, self._out, self.cwd
        inner._depth = self._depth + 10
        if inner._depth > MAX_DEPTH:
            raise self.unreadable(node, "scripts call each other too deeply")
        inner.errexit = text.partition("\n")[0].rstrip().endswith(" -e")
        return inner.read(text)

    # — redirections —

    def _redirected(self, node: Node) -> int:
        body = node.child_by_field_name("body")
        redirects = [c for c in node.children if c.type.endswith("_redirect")]
        rest: Node | None = None
        for redirect in list(redirects):
            redirects.extend(c for c in redirect.children if c.type.endswith("_redirect"))
            if redirect.type == "heredoc_redirect":
                rest = next((c for c in redirect.children if c.type in ("pipeline", "list", "command")), rest)
        if rest is not None:
            raise self.unreadable(node, "a pipe after a here-document isn't understood")
        kept = (self._out, self._err, self.input)
        made: list[tuple[str, list[str], bool]] = []
        try:
            for redirect in redirects:
                if not self._redirect(redirect, made):
                    return self._fails(node, 1)
            status = self.run(body) if body is not None else 0
        finally:
            self._out, self._err, self.input = kept
        self.node = node
        for path, sink, append in made:
            text = self.install.text(path) if append and self.install.is_file(path) else ""
            self.install.put(path, (text + "".join(sink)).encode(), 0o666 & ~self.umask, self.evidence())
        return status

    def _redirect(self, node: Node, made: list[tuple[str, list[str], bool]]) -> bool:
        if node.type == "heredoc_redirect":
            self.input = Lines(heredoc_text(self, node))
            return True
        target_node = node.named_children[-1] if node.named_children else None
        target = text_of(self, target_node) if target_node is not None else ""
        if node.type == "herestring_redirect":
            self.input = Lines(target + "\n")
            return True
        operator = next(c.type for c in node.children if not c.is_named)
        descriptor = next(((c.text or b"").decode() for c in node.children if c.type == "file_descriptor"), "")
        if operator == "<":
            if target in _SILENT:
                self.input = Lines("")
            elif not self.install.is_file(self.path(target)):
                return False
            else:
                self.input = Lines(self.install.text(self.path(target)))
            return True
        if operator in (">&", "<&", ">&-", "<&-"):
            if descriptor in ("", "1") and target == "2":
                self._out = self._err
            elif descriptor == "2" and target == "1":
                self._err = self._out
            return True
        sink: list[str] = []
        if operator in ("&>", "&>>"):
            self._out = self._err = sink
        elif descriptor in ("", "1"):
            self._out = sink
        elif descriptor == "2":
            self._err = sink
        if target not in _SILENT and descriptor in ("", "1", "2"):
            made.append((self.path(target), sink, ">>" in operator))
        return True
