"""``oslet down``."""

from __future__ import annotations

from pathlib import Path

import click

from oslet.cli import options


@click.command("down")
@click.argument("stack", required=False, shell_complete=options.stacks)
@click.option("--volumes", is_flag=True, help="Remove the stack's volumes, too, and all they hold.")
@click.option("-t", "--time", "grace", type=click.FloatRange(0), default=10, show_default=True, help="Seconds to wait.")
@options.as_json
def command(stack: str | None, volumes: bool, grace: float, as_json: bool) -> None:
    """End the oslets of a stack, last started first, and remove all but their volumes.

    STACK is a stack's name, or its file; without one, stack.toml or compose.yaml of this folder.
    """
    from oslet.cli import render
    from oslet.workspace import stacks

    with options.workspace() as workspace:
        gone = stacks.down(workspace, _name(stack), grace=grace, volumes=volumes)
    if as_json:
        render.as_json(gone)
        return
    for name in gone:
        render.data(name)


def _name(stack: str | None) -> str:
    if stack is not None and not stack.endswith((".toml", ".yaml", ".yml")):
        return stack
    import os

    from oslet.workspace.stackfiles import name_of

    return name_of(options.stack_file(Path(stack) if stack else None), os.environ)
