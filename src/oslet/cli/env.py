"""``oslet env``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("env")
@options.instance
@click.argument("changes", nargs=-1, metavar="[NAME=VALUE | NAME=]…")
@options.as_json
def command(instance: str, changes: tuple[str, ...], as_json: bool) -> None:
    """The environment that an instance's application was started with.

    With NAME=VALUE, what its next start is to have instead (oslet restart brings that about); NAME= alone takes back
    what was set so.
    """
    from oslet.cli import render
    from oslet.run import restart
    from oslet.run.describing import environment

    with options.workspace() as workspace:
        state = workspace.places.state
        if changes:
            env = {name: value or None for name, value in options.pairs(changes).items()}
            restart(state, instance, env=env, later=True)
            return
        found = environment(state, instance)
    if as_json:
        render.as_json(found)
        return
    for name, value in found.items():
        render.data(f"{name}={value}")
