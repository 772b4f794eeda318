"""``oslet logs``."""

from __future__ import annotations

import sys

import click

from oslet.cli import options


@click.command("logs")
@options.instance
@click.option("-f", "--follow", is_flag=True, help="Go on until it ends.")
@click.option("-n", "--tail", type=click.IntRange(0), help="Only the last N lines of each stream.")
def command(instance: str, follow: bool, tail: int | None) -> None:
    """What an instance wrote: its standard output on ours, its standard error on ours."""
    from oslet.run import logs

    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    with options.workspace() as workspace:
        for line in logs(workspace.places.state, instance, follow=follow, tail=tail):
            streams[line.stream].write(line.text)
            streams[line.stream].flush()
        options.tell_missing(workspace, instance)
