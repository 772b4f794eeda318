"""``oslet cp``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from oslet.cli import options


@click.command("cp")
@click.argument("source", shell_complete=options.paths)
@click.argument("dest", shell_complete=options.paths)
@options.as_json
def command(source: str, dest: str, as_json: bool) -> None:
    """Copy a file or folder out of a running instance or into it: one of SOURCE and DEST is INSTANCE:PATH.

    If DEST is a folder the copy goes into it, else it is called DEST. The other side may be -, a tar stream. A file
    with a colon in its name is written as ./NAME. What comes out is yours, what goes in belongs to the service's user;
    devices, sockets and pipes are left out.
    """
    from oslet.cli import render
    from oslet.run.transfer import fetch, put

    origin, goal = inside(source), inside(dest)
    if (origin is None) == (goal is None):
        raise click.UsageError("one of SOURCE and DEST is INSTANCE:PATH, and one is not")
    with options.workspace() as workspace:
        state = workspace.places.state
        if origin:
            if dest == "-" and as_json:
                raise click.UsageError("--json and a tar stream can't share standard output")
            if dest == "-" and sys.stdout.isatty():
                raise click.UsageError("a tar stream is nothing for a terminal: send standard output elsewhere")
            said = fetch(state, *origin, sys.stdout.buffer if dest == "-" else Path(dest))
        else:
            assert goal
            instance, path = goal
            said = put(state, instance, sys.stdin.buffer if source == "-" else Path(source), path)
    if said:
        render.talk(f"oslet: {said}")
    if as_json:
        render.as_json({"source": source, "dest": dest, "notice": said})


def inside(word: str) -> tuple[str, str] | None:
    """Instance and path, or None for a path of this machine."""
    name, colon, path = word.partition(":")
    return (name, path or "/") if colon and name and "/" not in name else None
