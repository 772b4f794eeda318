"""``oslet gc``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("gc")
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@options.as_json
def command(dry_run: bool, as_json: bool) -> None:
    """Remove what no image and no instance needs: packages, objects, trees."""
    from oslet.cli import render

    with options.workspace() as workspace:
        freed = workspace.gc(dry_run=dry_run)
    if as_json:
        render.as_json(freed._asdict())
    else:
        parts = ", ".join(f"{count} {kind}" for kind, count in freed._asdict().items() if count and kind != "bytes")
        render.talk(f"{'would free' if dry_run else 'freed'} {render.size(freed.bytes)}: {parts or 'nothing'}")
