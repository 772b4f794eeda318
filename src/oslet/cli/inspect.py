"""``oslet inspect``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("inspect")
@options.instances
@click.option("--json", is_flag=True, expose_value=False, help="It is JSON in any case.")
def command(instances: tuple[str, ...]) -> None:
    """All that is known of instances, as JSON, a line each: image, arguments without the secrets, environment, ports,
    network, volumes, memory, processes."""
    from oslet.cli import render
    from oslet.run.describing import describe

    with options.workspace() as workspace:
        for instance in instances:
            render.as_json(describe(workspace.places.state, instance))
