"""``oslet signal``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("signal")
@options.instance
@click.argument("name", metavar="SIGNAL")
@click.option("-p", "--process", type=click.IntRange(1), default=1, help="Its number in there; else the application.")
def command(instance: str, name: str, process: int) -> None:
    """Send a signal (HUP, USR1, TERM …) to an instance's application, or to another of its processes."""
    from oslet.run.describing import signal_process

    with options.workspace() as workspace:
        signal_process(workspace.places.state, instance, process, name)
