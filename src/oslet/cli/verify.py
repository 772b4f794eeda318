"""``oslet verify``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("verify")
@options.as_json
def command(as_json: bool) -> None:
    """Hash everything in the store again; exit code 4 when something is not what it was."""
    from oslet.cli import render
    from oslet.errors import IntegrityError

    with options.workspace() as workspace:
        faults = workspace.store.verify()
    if as_json:
        render.as_json([fault._asdict() for fault in faults])
    else:
        for fault in faults:
            render.data(str(fault))
    if faults:
        raise IntegrityError(f"{len(faults)} faults in the store", where=str(workspace.root))
    render.talk("the store holds what it says")
