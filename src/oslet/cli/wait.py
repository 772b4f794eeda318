"""``oslet wait``."""

from __future__ import annotations

from contextlib import suppress

import click

from oslet.cli import options
from oslet.errors import RunError


@click.command("wait")
@options.instances
@click.option("--timeout", type=click.FloatRange(0), help="Give up after so many seconds.")
def command(instances: tuple[str, ...], timeout: float | None) -> None:
    """Wait for instances to end and print their exit codes."""
    from oslet.cli import render
    from oslet.run import wait

    with options.workspace() as workspace:
        for instance in instances:
            code = wait(workspace.places.state, instance, timeout)
            render.data(str(code))
            if code:
                with suppress(RunError):  # one that was to leave nothing has left nothing
                    options.tell_missing(workspace, instance)
