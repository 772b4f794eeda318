"""``oslet volumes``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.group("volumes", invoke_without_command=True)
@click.option("--rm", "gone", multiple=True, metavar="NAME", help="Remove a volume and all it holds.")
@options.as_json
@click.pass_context
def command(ctx: click.Context, gone: tuple[str, ...], as_json: bool) -> None:
    """The volumes that instances left: by their own name, or by the instance's."""
    if ctx.invoked_subcommand:
        return
    from oslet.cli import render
    from oslet.run.volumes import named, remove_volume

    with options.workspace() as workspace:
        data = workspace.places.data
        for name in gone:
            remove_volume(data, name)
        found = list(named(data))
    if as_json:
        render.as_json(found)
        return
    for name in gone or found:
        render.data(name)


@command.command("clone")
@click.argument("source", metavar="FROM", shell_complete=options.volumes)
@click.argument("target", metavar="TO")
@options.as_json
def clone(source: str, target: str, as_json: bool) -> None:
    """A volume TO that begins as a copy of FROM, a volume or (a path) a folder. They share their blocks where the file
    system can. TO is there whole or not at all."""
    from oslet.cli import render

    with options.workspace() as workspace:
        workspace.clone_volume(source, target)
    if as_json:
        render.as_json({"name": target, "from": source})
    else:
        render.data(target)
