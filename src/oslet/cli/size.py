"""``oslet size``."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from oslet.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oslet.trim.size import By, Row


@click.command("size")
@options.target
@click.option(
    "--by",
    type=click.Choice(("package", "type", "reason", "folder")),
    default="package",
    show_default=True,
    help="What a row of the table is.",
)
@click.option("--dropped", is_flag=True, help="The table of what was left out.")
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a page that shows it as a treemap: click a rectangle, see its chain.",
)
@options.as_json
def command(target: str, by: By, dropped: bool, page: Path | None, as_json: bool) -> None:
    """What an image's bytes are spent on, and what was left out."""
    from oslet.cli import render
    from oslet.trim.size import rows

    with options.workspace() as workspace:
        image = workspace.image(target).image
        tree = workspace.tree(image)
        if page:
            from oslet.cli.treemap import page as drawn

            _write(page, drawn(image.name, tree, workspace.lock_of(image)))
    found = rows(tree, by)
    left_out = sum(d.size for d in tree.dropped)
    if as_json:
        render.as_json(
            {
                "by": by,
                "size": tree.size,
                "files": tree.files,
                "left_out": left_out,
                "rows": found,
                **({"html": str(page)} if page else {}),
            }
        )
    elif page:
        render.data(str(page))
    else:
        _table(by, found, dropped, left_out if dropped else tree.size)
        count = sum(d.kind == "file" for d in tree.dropped)
        render.talk(f"{tree.files} files, {render.size(tree.size)}; left out: {count} files, {render.size(left_out)}")


def _table(by: str, found: Sequence[Row], dropped: bool, whole: int) -> None:
    from oslet.cli import render

    def share(part: int) -> str:
        return f"{100 * part / whole:.1f} %" if whole else ""

    if dropped:
        rows = sorted((r for r in found if r.left_out_files), key=lambda r: (-r.left_out, r.key))
        render.table(
            (by, ">files", ">left out", ">share"),
            ((_shown(r.key), str(r.left_out_files), render.size(r.left_out), share(r.left_out)) for r in rows),
        )
        return
    render.table(
        (by, ">files", ">size", ">share", ">left out"),
        (
            (_shown(r.key), str(r.files), render.size(r.size), share(r.size), render.size(r.left_out))
            for r in found
            if r.files or r.links
        ),
    )


def _shown(key: str) -> str:
    """A key on one line: what would move a terminal's cursor is spelled out (folders may be named anything)."""
    return key if key.isprintable() else key.encode("unicode_escape").decode()


def _write(file: Path, text: str) -> None:
    """Write the page; a crash leaves the old one or the new one. Raises BuildError."""
    from oslet.errors import BuildError

    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        new.write_text(text, "utf-8")
        new.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise BuildError(f"can't write the page: {error.strerror}", where=str(file)) from None
