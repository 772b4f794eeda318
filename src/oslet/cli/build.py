"""``oslet build``."""

from __future__ import annotations

from pathlib import Path

import click

from oslet.cli import options


@click.command("build")
@options.file
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A build-time param's value.")
@options.as_json
def command(file: Path, given: tuple[str, ...], as_json: bool) -> None:
    """Build an image and print its digest; a second run is a look-up."""
    from oslet.cli import render
    from oslet.workspace import Declared

    with options.workspace() as workspace:
        built = workspace.build(Declared.read(file, options.pairs(given)))
    image = built.image
    if as_json:
        render.as_json(
            {
                "digest": built.digest,
                "name": image.name,
                "arch": image.arch,
                "size": image.size,
                "files": image.files,
                "plan": image.plan,
                "tree": image.tree,
            }
        )
        return
    render.talk(f"{image.name}: {image.files} files, {render.size(image.size)}")
    render.data(built.digest)
