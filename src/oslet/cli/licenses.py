"""``oslet licenses``."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import click

from oslet.cli import options

if TYPE_CHECKING:
    from oslet.build.supply.licences import Licence


@click.command("licenses")
@options.target
@options.as_json
def command(target: str, as_json: bool) -> None:
    """The licence of each package of an image, and where it says so.

    Names are SPDX's; a name in quotes is the package's own for a text that --json and `oslet sbom` hold whole.
    """
    from oslet.cli import render
    from oslet.workspace.supply import bill_of

    with options.workspace() as workspace:
        found = bill_of(workspace, workspace.image(target), os.environ).components
    if as_json:
        facts = ("name", "kind", "version", "whole", "expression", "source", "mentions", "texts")
        rows = [(c.name, c.kind, c.version, c.whole, *_licence(c.told.licence)) for c in found]
        render.as_json([dict(zip(facts, row, strict=True)) for row in rows])
        return
    render.table(
        ("package", "version", "licence", "source"),
        ((c.name, c.version, _shown(c.told.licence), c.told.licence.source) for c in found),
    )


def _licence(licence: Licence) -> tuple[object, ...]:
    return licence.expression, licence.source, licence.mentions, dict(licence.texts)


def _shown(licence: Licence) -> str:
    """The expression with unknown licences in quotes, by the names that the package gives them."""
    if licence.source.endswith("free text"):
        return "its own text" + (f", which mentions {', '.join(licence.mentions)}" if licence.mentions else "")
    return re.sub(r"LicenseRef-([A-Za-z0-9.-]+)-[0-9a-f]{8}\b", r'"\1"', licence.expression) or "-"
