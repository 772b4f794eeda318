"""docs/reference.md, written from the table that the reader reads by."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta, Struct, UnsetType

from oslet.codec.conform import fields_of
from oslet.codec.shape import (
    PARAMS,
    VALUES,
    Declaration,
    FileTable,
    HealthTable,
    MachineTable,
    RuleTable,
    SourceTable,
    WarmTable,
)
from oslet.codec.stackshape import LimitsTable, MemberTable, StackTable

_HEAD = """\
# Reference

This page is generated from the code (`python -m oslet.codec.reference`).

## The declaration

A TOML file, or a subclass of `oslet.Oslet` whose class attributes have the same names. In the command, environment,
working directory, ports, volumes, health and `text` files, `{name}` is a param and `{{`, `}}` are literal braces.
"""

_FILES = """
The value is a path beside the declaration (a file or a folder, copied into the image), or a table with exactly one of
`template`, `secret` and `text`. In a template, `{{ name }}` is a param, and Jinja's control flow works (`{% if %}`,
`{% for %}`). A file that holds a secret has the mode 0400 and exists only in the instance's memory. A secret that no
file names is the file `/run/secrets/NAME`.
"""

_PARAMS = """
Each param is a table with a `type`. One without a default must be given. A `secret` is refused in the command and the
environment, where it would show.
"""

_STACK = """
## The stack

A TOML file for `oslet up`. In arguments, env and command, `{NAME.url}`, `{NAME.host}`, `{NAME.port}` and
`{NAME.ports.2}` are another member's, and `{{`, `}}` are literal braces.
"""


def reference(cli_sections: str = "") -> str:
    """The page, with the command line's sections (Markdown, from ``cli/``) at its end."""
    parts = [_HEAD, _table(Declaration)]
    parts += ["\n### [source]\n", _table(SourceTable)]
    parts += ["\n### [files]\n", _FILES, _table(FileTable)]
    parts += ["\n### [health]\n\nExactly one of `http`, `tcp` and `exec`.\n", _table(HealthTable)]
    parts += ["\n### [warm]\n", _table(WarmTable)]
    parts += ["\n### [machine]\n", _table(MachineTable)]
    parts += ["\n### [scripts]\n\nA rule is a table:\n", _table(RuleTable)]
    parts += ["\n### [params]\n", _PARAMS]
    common = ("default", "help", "at")
    fields = fields_of(PARAMS["str"])
    parts.append("\n| key | what it is |\n|---|---|\n")
    parts += [f"| `{name}` | {_cell(_sentence(fields[name][0]))} |\n" for name in common]
    parts.append("\n| type | in Python | values | constraints |\n|---|---|---|---|\n")
    for word, shape in PARAMS.items():
        limits = ", ".join(f"`{name}`" for name in fields_of(shape) if name not in common) or "none"
        parts.append(f"| `{word}` | `oslet.{word.capitalize()}` | {_cell(VALUES[word][1])} | {limits} |\n")
    parts.append("\n| constraint | what it is |\n|---|---|\n")
    seen: dict[str, str] = {}
    for shape in PARAMS.values():
        seen |= {name: _sentence(kind) for name, (kind, _) in fields_of(shape).items() if name not in common}
    parts += [f"| `{name}` | {_cell(sentence)} |\n" for name, sentence in seen.items()]
    parts += [_STACK, _table(StackTable), "\n### [members.NAME]\n", _table(MemberTable)]
    parts += ["\n### limits\n", _table(LimitsTable)]
    if cli_sections:
        parts.append(f"\n{cli_sections.strip()}\n")
    return "".join(parts)


def _table(shape: type[Struct]) -> str:
    rows = "".join(
        f"| `{name}`{' (required)' if required else ''} | {_cell(_words(kind))} | {_cell(_sentence(kind))} |\n"
        for name, (kind, required) in fields_of(shape).items()
    )
    return f"\n| key | type | what it is |\n|---|---|---|\n{rows}"


def _sentence(kind: Any) -> str:
    return next((str(meta.description) for meta in get_args(kind)[1:] if isinstance(meta, Meta)), "")


def _words(kind: Any) -> str:
    """A key's type in words."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        options = [each for each in get_args(kind) if each is not UnsetType]
        return " or ".join(dict.fromkeys(_words(each) for each in options))
    if get_origin(kind) is Literal:
        return " or ".join(f'`"{each}"`' for each in get_args(kind))
    if get_origin(kind) is list:
        return f"list of {_words(get_args(kind)[0])}"
    if get_origin(kind) is dict:
        return f"table of {_words(get_args(kind)[1])}"
    return {str: "text", int: "whole number", bool: "true or false"}.get(kind, "table")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    import sys

    sys.stdout.write(reference())
