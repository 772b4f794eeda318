"""``oslet rmi``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("rmi")
@click.argument("targets", nargs=-1, required=True)
@options.as_json
def command(targets: tuple[str, ...], as_json: bool) -> None:
    """Remove images by name or digest; `oslet gc` then frees what only they needed."""
    from oslet.cli import render

    with options.workspace() as workspace:
        workspace.hold()
        gone = [workspace.store.remove_image(target) for target in targets]
    if as_json:
        render.as_json(gone)
        return
    for digest in gone:
        render.data(digest)
