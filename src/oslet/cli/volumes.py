"""``oslet volumes``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("volumes")
@click.option("--rm", "gone", multiple=True, metavar="NAME", help="Remove a volume and all it holds.")
@options.as_json
def command(gone: tuple[str, ...], as_json: bool) -> None:
    """The volumes that instances left: by their own name, or by the instance's."""
    from oslet.cli import render
    from oslet.run.volumes import remove_volume

    with options.workspace() as workspace:
        data = workspace.places.data
        for name in gone:
            remove_volume(data, name)
        found = sorted(path.name for path in data.iterdir()) if data.is_dir() else []
    if as_json:
        render.as_json(found)
        return
    for name in gone or found:
        render.data(name)
