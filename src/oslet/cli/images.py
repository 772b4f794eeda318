"""``oslet images``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("images")
@options.as_json
def command(as_json: bool) -> None:
    """The images in the store, newest first."""
    from oslet.cli import render

    with options.workspace() as workspace:
        found = workspace.store.images()
    if as_json:
        render.as_json([{"digest": i.digest, "names": i.names, "created": i.created, "image": i.image} for i in found])
        return
    render.table(
        ("name", "digest", ">files", ">size", "built"),
        (
            (
                ", ".join(i.tags) or "-",
                i.digest[:12],
                str(i.image.files),
                render.size(i.image.size),
                render.ago(i.created),
            )
            for i in found
        ),
    )
