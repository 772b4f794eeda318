"""``oslet why``."""

from __future__ import annotations

import posixpath

import click

from oslet.cli import options


@click.command("why")
@options.target
@click.argument("path")
@options.as_json
def command(target: str, path: str, as_json: bool) -> None:
    """Why PATH is in an image, or why it was left out: the chain of reasons back to the declaration."""
    from oslet.cli import render
    from oslet.trim.why import why

    with options.workspace() as workspace:
        image = workspace.image(target).image
        answer = why(posixpath.normpath("/" + path.lstrip("/")), workspace.tree(image), workspace.lock_of(image))
    if as_json:
        render.as_json(answer)
        return
    for depth, line in enumerate(answer.lines):
        render.data(f"{'  ' * depth}{'← ' if depth else ''}{line}")
