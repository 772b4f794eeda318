"""``oslet rm``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("rm")
@options.instances
@click.option("-f", "--force", is_flag=True, help="End them first.")
def command(instances: tuple[str, ...], force: bool) -> None:
    """Remove ended instances. Their volumes stay."""
    from oslet.cli import render
    from oslet.run import inspect, remove

    with options.workspace() as workspace:
        for instance in instances:
            found = inspect(workspace.places.state, instance)
            remove(workspace.places.state, found.id, force=force)
            render.data(instance)
