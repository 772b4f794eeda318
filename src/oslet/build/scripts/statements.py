"""What each kind of statement does: lists, conditions, loops, pipelines, assignments (XCU 2.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tree_sitter import Node

from oslet.build.scripts.conditions import holds
from oslet.build.scripts.redirections import redirected
from oslet.build.scripts.signals import Loop
from oslet.build.scripts.streams import Lines
from oslet.build.scripts.words import fields, matches, pattern_of, text_of

if TYPE_CHECKING:
    from oslet.build.scripts.shell import Shell


def body(shell: Shell, node: Node) -> int:
    status = 0
    for child in node.named_children:
        if child.type != "comment" and child.type != "heredoc_body":
            status = shell.run(child)
    return status


def _list(shell: Shell, node: Node) -> int:
    left, operator, right = node.children[0], node.children[1].type, node.children[-1]
    with shell.testing():
        status = shell.run(left)
    if (status == 0) == (operator == "&&"):
        return shell.run(right)
    return status


def _branch(shell: Shell, node: Node) -> int:
    at = next(i for i, c in enumerate(node.children) if c.type == "then")
    status = 0
    with shell.testing():
        for child in node.children[1:at]:
            if child.is_named and child.type != "comment":
                status = shell.run(child)
    clauses = ("elif_clause", "else_clause")
    if status == 0:
        return _run_all(shell, [c for c in node.children[at + 1 :] if c.is_named and c.type not in clauses])
    for clause in node.children[at + 1 :]:
        if clause.type == "elif_clause":
            with shell.testing():
                then = next(i for i, c in enumerate(clause.children) if c.type == "then")
                for child in clause.children[1:then]:
                    if child.is_named and child.type != "comment":
                        status = shell.run(child)
            if status == 0:
                return _run_all(shell, [c for c in clause.children[then + 1 :] if c.is_named])
        elif clause.type == "else_clause":
            return _run_all(shell, [c for c in clause.children[1:] if c.is_named])
    return 0


def _run_all(shell: Shell, nodes: list[Node]) -> int:
    status = 0
    for child in nodes:
        if child.type != "comment":
            status = shell.run(child)
    return status


def _case(shell: Shell, node: Node) -> int:
    value = node.child_by_field_name("value")
    subject = text_of(shell, value) if value is not None else ""
    for item in node.children:
        if item.type != "case_item":
            continue
        closing = next(i for i, c in enumerate(item.children) if c.type == ")")
        patterns = [c for c in item.children[:closing] if c.is_named]
        if any(matches(subject, pattern_of(shell, p)) for p in patterns):
            return _run_all(shell, [c for c in item.children[closing + 1 :] if c.is_named])
    return 0


def _test(shell: Shell, node: Node) -> int:
    words: list[str] = []
    _flatten(shell, node, words)
    shell.node = node
    return shell.fails(node, 0 if holds(shell, words[1:-1]) else 1)


def _flatten(shell: Shell, node: Node, words: list[str]) -> None:
    for child in node.children:
        if child.type in ("unary_expression", "binary_expression", "parenthesized_expression", "test_command"):
            _flatten(shell, child, words)
        elif not child.is_named or child.type == "test_operator":
            words.append((child.text or b"").decode())
        else:
            words.extend(fields(shell, child))


def _not(shell: Shell, node: Node) -> int:
    with shell.testing():
        return 0 if shell.run(node.children[-1]) else 1


def _pipeline(shell: Shell, node: Node) -> int:
    stages = [c for c in node.children if c.is_named]
    before = shell.input
    status = failed = 0
    try:
        for stage in stages[:-1]:
            with shell.captured() as out, shell.testing():
                failed = shell.apart(lambda stage=stage: shell.run(stage)) or failed  # type: ignore[misc]
            shell.input = Lines("".join(out))
        with shell.testing():
            status = shell.apart(lambda: shell.run(stages[-1]))
    finally:
        shell.input = before
    if "pipefail" in shell.options:
        status = status or failed
    if stages[0].type == "negated_command":
        return 0 if status else 1
    return shell.fails(node, status)


def _subshell(shell: Shell, node: Node) -> int:
    return shell.fails(node, shell.apart(lambda: body(shell, node)))


def _for(shell: Shell, node: Node) -> int:
    name = node.child_by_field_name("variable")
    body = node.child_by_field_name("body")
    assert name is not None and body is not None
    values = [v for c in node.children_by_field_name("value") for v in fields(shell, c)]
    if not any(c.type == "in" for c in node.children):
        values = list(shell.args)
    return _loop(shell, body, iter(values), (name.text or b"").decode())


def _while(shell: Shell, node: Node) -> int:
    body = node.child_by_field_name("body")
    assert body is not None
    until = node.children[0].type == "until"

    def turns() -> Iterator[str]:
        while True:
            with shell.testing():
                status = _run_all(shell, [c for c in node.children[1:] if c.is_named and c.type != "do_group"])
            if (status == 0) == until:
                return
            yield ""

    return _loop(shell, body, turns(), "")


def _loop(shell: Shell, body: Node, values: Iterator[str], name: str) -> int:
    status = 0
    for value in values:
        if name:
            shell.assign(name, value)
        try:
            status = shell.run(body)
        except Loop as jump:
            if jump.levels > 1:
                raise Loop(again=jump.again, levels=jump.levels - 1) from None
            if not jump.again:
                break
    return status


def _function(shell: Shell, node: Node) -> int:
    name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
    assert name is not None and body is not None
    shell.functions[(name.text or b"").decode()] = (body, shell.source)
    return 0


def _assignments(shell: Shell, node: Node) -> int:
    shell.substituted = 0
    for assignment in node.children if node.type == "variable_assignments" else [node]:
        assign(shell, assignment)
    return shell.fails(node, shell.substituted)


def assign(shell: Shell, node: Node) -> str:
    name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
    if name is None or name.type != "variable_name" or any(c.type == "+=" for c in node.children):
        raise shell.unreadable(node, "an assignment of bash that isn't understood")
    spelled = (name.text or b"").decode()
    shell.assign(spelled, text_of(shell, value) if value is not None else "")
    return spelled


def _declaration(shell: Shell, node: Node) -> int:
    """``export``, ``readonly``, ``local``. A local name begins as it was outside (dash); in bash it begins unset."""
    verb = node.children[0].type
    local = verb in ("local", "declare", "typeset") and bool(shell.locals)
    for child in node.children[1:]:
        if child.type == "variable_assignment":
            target = child.child_by_field_name("name")
            given = [(target.text or b"").decode()] if target is not None else []
        elif child.type == "variable_name":
            given = [(child.text or b"").decode()]
        else:
            given = [word for word in fields(shell, child) if not word.startswith("-")]
        for word in given:
            name, equals, value = word.partition("=")
            if local and name not in shell.locals[-1]:
                shell.locals[-1][name] = shell.variables.get(name)
                if shell.bash and child.type != "variable_assignment":
                    shell.variables.pop(name, None)
            if equals:
                shell.assign(name, value)
            if verb == "export":
                shell.exported.add(name)
        if child.type == "variable_assignment":
            assign(shell, child)
    return 0


def _unset(shell: Shell, node: Node) -> int:
    names = [name for child in node.children[1:] for name in fields(shell, child)]
    for name in (n for n in names if not n.startswith("-")):
        if "-f" in names:
            shell.functions.pop(name, None)
        else:
            shell.variables.pop(name, None)
            shell.exported.discard(name)
    return 0


STATEMENTS: dict[str, Callable[[Shell, Node], int]] = {
    "program": body,
    "list": _list,
    "if_statement": _branch,
    "case_statement": _case,
    "test_command": _test,
    "negated_command": _not,
    "pipeline": _pipeline,
    "compound_statement": body,
    "do_group": body,
    "subshell": _subshell,
    "for_statement": _for,
    "while_statement": _while,
    "function_definition": _function,
    "redirected_statement": redirected,
    "variable_assignment": _assignments,
    "variable_assignments": _assignments,
    "declaration_command": _declaration,
    "unset_command": _unset,
}
