"""``oslet up``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oslet.cli import options

if TYPE_CHECKING:
    from oslet.workspace import Workspace
    from oslet.workspace.prepared import Prepared
    from oslet.workspace.stacks import Came


@click.command("up")
@options.stack
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be done, and do nothing of it.")
@click.option("-a/-d", "--attach/--detach", help="Show what the members write until ^C, then bring them down.")
@click.option("--keep", is_flag=True, help="If one fails, leave running what was started.")
@click.option(
    "--timeout", type=click.FloatRange(0), default=60, show_default=True, help="Seconds for one to get healthy."
)
@options.compose
@options.as_json
def command(
    file: Path | None,
    only_plan: bool,
    attach: bool,
    keep: bool,
    timeout: float,
    strict: bool,
    profiles: tuple[str, ...],
    registry: str | None,
    as_json: bool,
) -> None:
    """Start the oslets of a stack, each after what it needs, and wait until they are healthy.

    FILE is a stack (TOML) or a Compose file; without one, stack.toml or compose.yaml of this folder. What runs already
    and is unchanged stays; what changed is replaced; what is no longer in FILE is stopped.
    """
    from oslet.cli import render
    from oslet.workspace import stacks
    from oslet.workspace.prepared import prepare

    with options.workspace() as workspace:
        read = options.read_stack(workspace, file, strict=strict, profiles=profiles, registry=registry)
        prepared = prepare(workspace, read, os.environ)
        if only_plan:
            _show_plan(prepared, as_json)
            return
        came = stacks.up(workspace, prepared, keep=keep, patience=timeout, notice=render.talk)
    _show(came, as_json)
    if attach:
        _follow(workspace, read.stack.name)


def _show_plan(prepared: Prepared, as_json: bool) -> None:
    from oslet.cli import render

    if as_json:
        render.as_json(prepared.moves)
        return
    for move in prepared.moves:
        render.data(f"{move.what:<8} {move.member} ({move.why})")


def _show(came: tuple[Came, ...], as_json: bool) -> None:
    from oslet.cli import render

    if as_json:
        render.as_json(came)
        return
    render.table(
        ("member", "instance", "state", "ports", "url"),
        ((c.member, c.instance.name, c.state, " ".join(map(str, c.instance.ports)) or "-", c.url or "-") for c in came),
    )


def _follow(workspace: Workspace, name: str) -> None:
    from oslet.cli.logs import follow_group
    from oslet.cli.render import talk
    from oslet.workspace import stacks

    try:
        follow_group(workspace, name, follow=True, tail=None)
    except KeyboardInterrupt:
        talk(f"oslet: bringing {name} down")
    finally:
        stacks.down(workspace, name)
