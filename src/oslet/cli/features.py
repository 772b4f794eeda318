"""``oslet features``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("features")
@options.target
@options.as_json
def command(target: str, as_json: bool) -> None:
    """What an image's packages can do without: the switches of [features], and what each saves or costs.

    A feature whose default is "reached" is there when something in the image asks for it.
    """
    from oslet.cli import render

    with options.workspace() as workspace:
        prices = workspace.features(workspace.image(target).image)
    if as_json:
        render.as_json(prices)
        return
    rows = [
        (p.name, "yes" if p.there else "no", _said(p.said), p.default, render.size(p.bytes), p.help) for p in prices
    ]
    render.table(("feature", "there", "said", "default", ">price", "what it is"), rows)


def _said(value: bool | str | tuple[str, ...] | None) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else value if isinstance(value, str) else ", ".join(value)
