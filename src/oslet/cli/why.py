"""``oslet why``."""

from __future__ import annotations

import posixpath

import click

from oslet.cli import options


@click.command("why")
@options.target
@click.argument("path")
@click.option("--all", "every", is_flag=True, help="Every reason, not only the shortest chain.")
@options.as_json
def command(target: str, path: str, every: bool, as_json: bool) -> None:
    """Why PATH is in an image, or why it was left out: the chain of evidence back to the declaration.

    PATH may be a package's name: what it costs, and who brings it.
    """
    from oslet.cli import render

    with options.workspace() as workspace:
        image = workspace.image(target).image
        asked = posixpath.normpath(f"/{path.lstrip('/')}") if "/" in path else path
        answer = workspace.why(image, asked, every=every)
    if as_json:
        render.as_json(answer)
        return
    for chain in (answer.lines, *answer.chains[1:]):
        for depth, line in enumerate(chain if chain is answer.lines else ("or:", *chain)):
            render.data(f"{'  ' * depth}{'← ' if depth else ''}{line}")
