"""``oslet ps``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("ps")
@click.option("-a", "--all", "every", is_flag=True, help="Ended ones too.")
@click.option("--group", metavar="NAME", shell_complete=options.stacks, help="Only those of a stack.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@options.as_json
def command(every: bool, group: str | None, quiet: bool, as_json: bool) -> None:
    """The instances, newest first."""
    from oslet.cli import render
    from oslet.run import instances

    with options.workspace() as workspace:
        found = [
            i for i in instances(workspace.places.state) if (every or i.state != "exited") and group in (None, i.group)
        ]
    found.sort(key=lambda i: i.created, reverse=True)
    if as_json:
        render.as_json(found)
    elif quiet:
        for instance in found:
            render.data(instance.id)
    else:
        render.table(
            ("name", "id", "image", "state", "health", ">restarts", "ports", "started"),
            (
                (
                    i.name,
                    i.id[:12],
                    i.image_name,
                    i.state if i.exit_code is None else f"{i.state} ({i.exit_code})",
                    i.health or "-",
                    str(i.restarts),
                    " ".join(map(str, i.ports)) or "-",
                    render.ago(i.created),
                )
                for i in found
            ),
        )
