"""``oslet files``."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import click

from oslet.cli import options

if TYPE_CHECKING:
    from oslet.run.transfer import Entry

_TYPES = {"dir": stat.S_IFDIR, "file": stat.S_IFREG, "link": stat.S_IFLNK, "other": 0}


@click.command("files")
@click.argument("path", metavar="INSTANCE[:PATH]", shell_complete=options.paths)
@click.option("--remove", is_flag=True, help="Remove what is there: a file, a link, an empty folder.")
@click.option("--recursive", is_flag=True, help="With --remove: a folder with all that is in it.")
@options.as_json
def command(path: str, remove: bool, recursive: bool, as_json: bool) -> None:
    """What is at a path of a running instance, or in a folder. (cp copies files out and in.)"""
    from oslet.cli import render
    from oslet.run.transfer import entries, erase

    instance, _, where = path.partition(":")
    if recursive and not remove:
        raise click.UsageError("--recursive is for --remove")
    with options.workspace() as workspace:
        state = workspace.places.state
        if remove:
            erase(state, instance, where, whole=recursive)
            return
        found = entries(state, instance, where or "/")
    if as_json:
        render.as_json(found)
        return
    shown = found if len(found) == 1 and found[0].kind != "dir" else found[1:]
    render.table(("mode", ">uid", ">gid", ">size", "modified", "name"), map(_cells, shown))


def _cells(entry: Entry) -> tuple[str, ...]:
    from oslet.cli import render

    return (
        stat.filemode(_TYPES[entry.kind] | entry.mode),
        str(entry.uid),
        str(entry.gid),
        render.size(entry.size) if entry.kind == "file" else "-",
        render.moment(entry.modified),
        f"{entry.name} → {entry.target}" if entry.target else entry.name,
    )
