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
        render.as_json([record._asdict() for record in found])
        return
    render.table(
        ("name", "digest", ">files", ">size", "built"),
        (
            (", ".join(names) or "-", digest[:12], str(image.files), render.size(image.size), render.ago(created))
            for digest, names, created, image in found
        ),
    )
