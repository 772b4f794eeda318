"""``oslet catalog``."""

from __future__ import annotations

from typing import Any

import click

from oslet.cli import options, targets


@click.command("catalog")
@click.argument("name", required=False, default="", shell_complete=options.shelved)
@options.as_json
def command(name: str, as_json: bool) -> None:
    """The ready oslets: what each is, its params, and how to use it.

    Each is a target, as catalog:NAME, and a class of oslet.catalog to call or to subclass. With NAME, its page.
    """
    from oslet.catalog.shelf import entries, entry
    from oslet.cli import render

    if name:
        found = entry(name.removeprefix(targets.SHELF))
        if as_json:
            render.as_json(_json(found))
        else:
            from oslet.catalog.pages import page

            render.data(page(found).rstrip())
        return
    if as_json:
        render.as_json([_json(each) for each in entries()])
        return
    render.table(
        ("name", "what it is", "params", "ports", "volumes", ">image"),
        (
            (
                each.name,
                each.summary,
                ", ".join(p.name for p in each.oslet.params),
                ", ".join(each.oslet.start.ports),
                ", ".join(each.oslet.start.volumes),
                render.size(each.measured.size) if each.measured else "",
            )
            for each in entries()
        ),
    )


def _json(each: Any) -> dict[str, Any]:
    return {
        "name": each.name,
        "target": f"{targets.SHELF}{each.name}",
        "class": f"oslet.catalog.{each.spelled}",
        "measured": each.measured and each.measured._asdict(),
        "oslet": each.oslet,
    }
