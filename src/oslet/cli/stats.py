"""``oslet stats``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("stats")
@click.argument("instances", nargs=-1)
@options.as_json
def command(instances: tuple[str, ...], as_json: bool) -> None:
    """What instances use now: memory, processor time, processes. All running ones, if none is named."""
    from oslet import run
    from oslet.cli import render

    with options.workspace() as workspace:
        state = workspace.places.state
        named = instances or [i.name for i in run.instances(state) if i.state == "running"]
        found = [(name, run.stats(state, name)) for name in named]
    if as_json:
        render.as_json(dict(found))
        return
    render.table(
        ("name", ">memory", ">cpu", ">processes", ">up"),
        ((n, render.size(s.memory), f"{s.cpu:.2f} s", str(s.processes), f"{s.uptime:.0f} s") for n, s in found),
    )
