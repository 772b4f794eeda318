"""``oslet sbom``."""

from __future__ import annotations

import os
from typing import Literal

import click

from oslet.cli import options


@click.command("sbom")
@options.target
@click.option(
    "--format",
    "form",
    type=click.Choice(["spdx", "cyclonedx", "cyclonedx-1.6"]),
    default="spdx",
    show_default=True,
    help="SPDX 2.3; CycloneDX 1.7; or 1.6, for tools that don't read 1.7 yet.",
)
@click.option("--files", is_flag=True, help="List every file, with its digest and why it is there.")
@options.as_json
def command(target: str, form: Literal["spdx", "cyclonedx", "cyclonedx-1.6"], files: bool, as_json: bool) -> None:
    """What an image is made of, as SPDX or CycloneDX in JSON: packages, digests, licences, needs.

    The same image gives the same document. SOURCE_DATE_EPOCH sets the time that it bears.
    """
    from oslet.cli import render
    from oslet.workspace.supply import sbom

    with options.workspace() as workspace:
        document = sbom(workspace, workspace.image(target), form, os.environ, files=files)
    render.as_json(document)
