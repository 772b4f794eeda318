"""Writes docs/reference.md from the code: keys and types from the declaration's table, verbs from the command line."""

from __future__ import annotations

from pathlib import Path

import click

from oslet.cli import build as build_verb
from oslet.cli import debug as debug_verb
from oslet.cli import exec as exec_verb
from oslet.cli import park as park_verb
from oslet.cli import run as run_verb
from oslet.cli import test as test_verb
from oslet.cli import trace as trace_verb
from oslet.cli.verbs import VERBS, oslet
from oslet.codec.reference import reference
from oslet.run.words import Option

QUICK = {
    "build": (build_verb.USAGE, build_verb.OPTIONS),
    "run": (run_verb.USAGE, run_verb.OPTIONS),
    "exec": (exec_verb.USAGE, exec_verb.OPTIONS),
    "debug": (debug_verb.USAGE, debug_verb.OPTIONS),
    "park": (park_verb.USAGE, park_verb.OPTIONS),
    "test": (test_verb.USAGE, test_verb.OPTIONS),
    "trace": (trace_verb.USAGE, trace_verb.OPTIONS),
}


ENVIRONMENT = """
## Environment

| variable | |
|---|---|
| `OSLET_HOME` | where store, instances and volumes are; else `$XDG_DATA_HOME/oslet` or `~/.local/share/oslet` |
| `OSLET_MIRROR` | the Debian mirror's URL, or a folder that `oslet vendor` made; else what apt uses here |
| `OSLET_REGISTRY` | where images of Compose files are that say no registry |
| `OSLET_WORKERS` | how many packages are unpacked at once (default: one a processor, at most four) |
| `OSLET_DEBUG` | any value: a fault of oslet's own shows its traceback |

The Python index, its credentials and certificates are what uv is set to (`UV_DEFAULT_INDEX`, `SSL_CERT_FILE`, …).

## Exit codes

| code | class |
|---|---|
| 2 | the declaration or an argument is wrong |
| 3 | the request has no answer in this source |
| 4 | bytes are not what was signed, locked or stored |
| 5 | a build step can't be done as declared |
| 6 | an instance or image can't be started, found or reached |
| 7 | a registry or mirror can't be reached, or refused |

`run` in the foreground and `exec` return the application's own.
"""


def page() -> str:
    """The whole reference, as it should stand in docs/reference.md."""
    return reference("\n".join(section(name) for name in VERBS)) + ENVIRONMENT


def section(name: str) -> str:
    """One verb: what it does, how it is written, its options."""
    context = click.Context(oslet, info_name="oslet")
    command = oslet.get_command(context, name)
    assert command is not None
    if name in QUICK:
        usage, options = QUICK[name]
        return block(name, command.help or "", usage.removeprefix("Usage: "), [written(o) for o in options])
    inner = click.Context(command, info_name=name, parent=context)
    usage = " ".join(["oslet", name, *command.collect_usage_pieces(inner)])
    rows = [r for p in command.params if isinstance(p, click.Option) and (r := p.get_help_record(inner))]
    return block(name, command.help or "", usage, rows)


def written(option: Option) -> tuple[str, str]:
    short = f"-{option.short}, " if option.short else ""
    return f"{short}--{option.name} {option.value}".strip(), option.help


def block(name: str, about: str, usage: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"### oslet {name}", "", *(line.strip() for line in about.splitlines()), "", f"    {usage}", ""]
    if rows:
        lines += ["| option | |", "|---|---|"]
        lines += [f"| `{left.replace('|', chr(92) + '|')}` | {right} |" for left, right in rows]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    Path(__file__).with_name("reference.md").write_text(page())
