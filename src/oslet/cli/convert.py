"""``oslet convert``."""

from __future__ import annotations

from pathlib import Path

import click

from oslet.cli import options


@click.command("convert")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@options.compose
@options.as_json
def command(file: Path, strict: bool, profiles: tuple[str, ...], registry: str | None, as_json: bool) -> None:
    """Write a Compose file as a stack, on standard output, to go on from.

    What of it can't be said in a stack is listed on standard error. Paths begin from FILE's folder.
    """
    from oslet.cli import render
    from oslet.workspace import stackfiles

    with options.workspace() as workspace:
        composing = options.composing(profiles, registry)
        converted = stackfiles.convert(workspace, file, composing)
        stackfiles.read(workspace, file, composing)
    options.tell_notes(converted.notes, strict=strict)
    if as_json:
        render.as_json({"stack": converted.table, "notes": converted.notes})
        return
    import tomli_w

    render.data(tomli_w.dumps(converted.table).rstrip("\n"))
