"""``oslet networks``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("networks")
@options.as_json
def command(as_json: bool) -> None:
    """The networks, with the instances on each and their addresses."""
    from oslet.cli import render
    from oslet.run.records import networks

    with options.workspace() as workspace:
        found = networks(workspace.places.state)
    if as_json:
        render.as_json(found)
    else:
        rows = ((network.name, m.name, m.id, m.address) for network in found for m in network.instances)
        render.table(("network", "instance", "id", "address"), rows)
