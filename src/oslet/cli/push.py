"""``oslet push``."""

from __future__ import annotations

from typing import Literal

import click

from oslet.cli import options


@click.command("push")
@options.target
@click.argument("reference")
@click.option("--insecure", is_flag=True, help="Speak plain HTTP (loopback registries do without asking).")
@click.option("--compression", type=click.Choice(["gzip", "zstd", "none"]), default="gzip", show_default=True)
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A param's value in the pushed image.")
@options.as_json
def command(
    target: str,
    reference: str,
    insecure: bool,
    compression: Literal["gzip", "zstd", "none"],
    given: tuple[str, ...],
    as_json: bool,
) -> None:
    """Send an image to a registry as REFERENCE (host/name:tag).

    Params without a default stay open: oslet fills them where the image is pulled.
    """
    from oslet.cli import render
    from oslet.workspace.exports import push

    with options.workspace() as workspace:
        digest = push(
            workspace.image(target),
            reference,
            workspace.store,
            workspace.progress,
            insecure=insecure,
            compression=compression,
            given=options.pairs(given),
        )
    if as_json:
        render.as_json({"reference": reference, "digest": digest})
    else:
        render.data(digest)
