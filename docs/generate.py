"""Writes docs/reference.md and docs/catalog.md from the code: keys and types from the declaration's table, verbs from
the command line, the catalog from its classes."""

from __future__ import annotations

from pathlib import Path

import click

from oslet.cli import build as build_verb
from oslet.cli import debug as debug_verb
from oslet.cli import exec as exec_verb
from oslet.cli import park as park_verb
from oslet.cli import restart as restart_verb
from oslet.cli import run as run_verb
from oslet.cli import seed as seed_verb
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
    "restart": (restart_verb.USAGE, restart_verb.OPTIONS),
    "seed": (seed_verb.USAGE, seed_verb.OPTIONS),
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
    return reference("\n".join(each for name in VERBS for each in sections(name))) + ENVIRONMENT


def sections(name: str) -> list[str]:
    """A verb, and the verbs below it."""
    verb = oslet.get_command(click.Context(oslet, info_name="oslet"), name)
    below = verb.commands.items() if isinstance(verb, click.Group) else ()
    return [section(name), *(_below(name, inner, command) for inner, command in below)]


def _below(name: str, inner: str, command: click.Command) -> str:
    context = click.Context(command, info_name=inner)
    rows = [r for p in command.params if isinstance(p, click.Option) and (r := p.get_help_record(context))]
    usage = " ".join(["oslet", name, inner, *command.collect_usage_pieces(context)])
    return block(f"{name} {inner}", command.help or "", usage, rows)


CATALOG = """# The catalog

Ready oslets: each is a class of `oslet.catalog` and a target `catalog:NAME`. This page is written from the classes, as
what `oslet catalog NAME` prints is.

```sh
oslet run catalog:redis -d --wait --port 26379 --memory 32MiB
oslet stop redis
```

In Python, call a class to bind its params, and start it:

```python
from oslet.catalog import Redis

with Redis(port=26380, memory="32MiB").start() as redis:
    redis.exec(["redis-cli", "-p", "26380", "ping"])
```

To have more of it, subclass it. Lists and tables are Python's; params are given new defaults by assignment.

```python
# cache.py
import oslet


class Cache(oslet.catalog.Redis):
    packages = [*oslet.catalog.Redis.packages, "tzdata"]
    eviction = "allkeys-lru"
    memory = "16MiB"
```

```sh
oslet run cache:Cache -d --wait --port 26381
oslet stop cache
```

- **Passwords** are secrets: files in the instance's memory, never in an image, a volume's first content or a process
  list. On the command line they are read from a file, `--password @FILE`. Where one may be missing, everybody who
  reaches the port is let in without; ports are published on this machine's loopback address unless you say another.
- **Locks.** A class of yours has its lock beside its module. One of the catalog, as any installed package's, has it
  in the store (`locks/` in `OSLET_HOME`): it stays until `oslet lock catalog:NAME --upgrade` asks for newer packages.
- **Targets.** `catalog:NAME` stands for `oslet.catalog:CLASS`. Any verb takes a class of yours in the same way, as
  `MODULE:CLASS` or `FILE.py:CLASS`.
- **Checks.** `oslet test catalog:NAME` asks the same of the image and of one with nothing left out.

"""


def catalog_page() -> str:
    """The catalog, as it should stand in docs/catalog.md."""
    from oslet.catalog.pages import index, pages

    return f"{CATALOG}{index()}\n{pages()}"


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
    Path(__file__).with_name("catalog.md").write_text(catalog_page())
