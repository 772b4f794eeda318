"""What the declaration itself asks of the tree: the roots of the graph."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from oslet.model.oslet import Exec, File, Start, Template, Text
from oslet.trim import source
from oslet.trim.evidence import SHELLS, of_text, read

_HOLE = re.compile(r"\{\w+\}")


class Ask(NamedTuple):
    """One thing asked for, its kind (command, program, path, plugin or module), and the sentence that says by whom."""

    what: str
    kind: str
    reason: str


class Asked(Struct, frozen=True):
    """The parts of a declaration that name programs, paths and modules: its start contract, the words of its checks,
    and the files that only instances have."""

    start: Start = Start()
    rendered: tuple[File, ...] = ()
    checks: tuple[tuple[str, ...], ...] = ()


def asks(asked: Asked) -> Iterator[Ask]:
    """Everything that the declaration names, most direct first."""
    start = asked.start
    yield from _command(start.command, "the declaration's command")
    if isinstance(start.health, Exec):
        yield from _command(start.health.command, "the declaration's health check")
    yield from _command(start.warm.prepare, "the declaration's warm.prepare")
    for module in start.warm.modules:
        yield Ask(module, "module", "the declaration's warm.modules names it")
    for words in asked.checks:
        yield from _command(words, "a check of the declaration")
    for name, value in start.env:
        for path in value.split(":"):
            if path.startswith("/"):
                yield Ask(path, "path", f"the declaration's env.{name} names it")
    for file in asked.rendered:
        if isinstance(file.content, Template | Text):
            yield from _text(file.content.text, f"the declaration's file {file.path}")


def _command(words: tuple[str, ...], who: str) -> Iterator[Ask]:
    for place, word in enumerate(words):
        plain = _HOLE.sub("", word)
        if place == 0:
            yield Ask(plain, "command", f"{who} starts it")
            continue
        if plain.startswith("/"):
            yield Ask(plain, "path", f"{who} names it")
        elif re.fullmatch(r"[\w.+-]+", plain) and words[place - 1] != "-m":
            yield Ask(plain, "program", f"{who} names it")
        else:
            yield from _text(plain, who)
        if words[place - 1] == "-c" and words[0].rpartition("/")[2] in SHELLS:
            script = read("", b"#!/bin/sh\n" + plain.encode())
            yield from (Ask(name, "program", f"{who} may run it") for name in script.commands)
        elif words[place - 1] == "-c":
            yield from (Ask(name, "module", f"{who} imports it") for name in source.scan(plain).imports)
        elif re.fullmatch(r"[A-Za-z_][\w.]*(:[\w.]+)?", plain):
            yield Ask(plain.partition(":")[0], "module", f"{who} names it")


def _text(text: str, who: str) -> Iterator[Ask]:
    found = of_text(text.encode())
    yield from (Ask(path, "path", f"{who} names it") for path in found.paths)
    yield from (Ask(name, "plugin", f"{who} names it") for name in found.plugins)
    if text.startswith("#!"):
        yield Ask(text[2:].partition("\n")[0].split()[0], "path", f"{who} is run by it")
