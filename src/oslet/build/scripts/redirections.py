"""Redirections: where a statement reads from and writes to (XCU 2.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tree_sitter import Node

from oslet.build.scripts.streams import Lines
from oslet.build.scripts.words import heredoc_text, text_of

if TYPE_CHECKING:
    from oslet.build.scripts.shell import Shell

_SILENT = frozenset({"/dev/null", "/dev/stderr", "/dev/stdout", "/dev/tty", "/dev/console"})


def redirected(shell: Shell, node: Node) -> int:
    body = node.child_by_field_name("body")
    redirects = [c for c in node.children if c.type.endswith("_redirect")]
    rest: Node | None = None
    for redirect in list(redirects):
        redirects.extend(c for c in redirect.children if c.type.endswith("_redirect"))
        if redirect.type == "heredoc_redirect":
            rest = next((c for c in redirect.children if c.type in ("pipeline", "list", "command")), rest)
    if rest is not None:
        raise shell.unreadable(node, "a pipe after a here-document isn't understood")
    kept = (shell.out, shell.err, shell.input)
    made: list[tuple[str, list[str], bool]] = []
    try:
        for redirect in redirects:
            if not _redirect(shell, redirect, made):
                return shell.fails(node, 1)
        status = shell.run(body) if body is not None else 0
    finally:
        shell.out, shell.err, shell.input = kept
    shell.node = node
    for path, sink, append in made:
        text = shell.install.text(path) if append and shell.install.is_file(path) else ""
        shell.install.put(path, (text + "".join(sink)).encode(), 0o666 & ~shell.umask, shell.evidence())
    return status


def _redirect(shell: Shell, node: Node, made: list[tuple[str, list[str], bool]]) -> bool:
    if node.type == "heredoc_redirect":
        shell.input = Lines(heredoc_text(shell, node))
        return True
    target_node = node.named_children[-1] if node.named_children else None
    target = text_of(shell, target_node) if target_node is not None else ""
    if node.type == "herestring_redirect":
        shell.input = Lines(target + "\n")
        return True
    operator = next(c.type for c in node.children if not c.is_named)
    descriptor = next(((c.text or b"").decode() for c in node.children if c.type == "file_descriptor"), "")
    if operator == "<":
        if target in _SILENT:
            shell.input = Lines("")
        elif not shell.install.is_file(shell.path(target)):
            return False
        else:
            shell.input = Lines(shell.install.text(shell.path(target)))
        return True
    if operator in (">&", "<&", ">&-", "<&-"):
        if descriptor in ("", "1") and target == "2":
            shell.out = shell.err
        elif descriptor == "2" and target == "1":
            shell.err = shell.out
        return True
    sink: list[str] = []
    if operator in ("&>", "&>>"):
        shell.out = shell.err = sink
    elif descriptor in ("", "1"):
        shell.out = sink
    elif descriptor == "2":
        shell.err = sink
    if target not in _SILENT and descriptor in ("", "1", "2"):
        made.append((shell.path(target), sink, ">>" in operator))
    return True
