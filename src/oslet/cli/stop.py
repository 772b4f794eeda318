"""``oslet stop``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("stop")
@options.instances
@click.option("-t", "--time", "grace", type=click.FloatRange(0), default=10, show_default=True, help="Seconds to wait.")
def command(instances: tuple[str, ...], grace: float) -> None:
    """Ask instances to end with their stop signal; after a while, make them."""
    from oslet.cli import render
    from oslet.run import stop

    with options.workspace() as workspace:
        for instance in instances:
            stop(workspace.places.state, instance, grace)
            render.data(instance)
