"""``oslet events``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from oslet.cli import options

if TYPE_CHECKING:
    from oslet.run.events import Event


@click.command("events")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on, until interrupted.")
@options.since
@options.as_json
def command(follow: bool, since: float | None, as_json: bool) -> None:
    """What happened to instances: starts, restarts, exits, changes of health. With --json, an object a line."""
    from oslet.cli import render
    from oslet.run.events import events

    with options.workspace() as workspace:
        state = workspace.places.state
    began = since if since is not None else time.time() if follow else 0.0
    for event in events(state, follow=follow, since=began):
        if as_json:
            render.as_json(event)
        else:
            render.data(line(event))


def line(event: Event) -> str:
    from oslet.cli import render

    code = "" if event.code is None else f" ({event.code})"
    return f"{render.moment(event.time)}  {event.event + code:<14} {event.name}  {event.id[:12]}  {event.image}"
