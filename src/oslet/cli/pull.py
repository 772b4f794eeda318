"""``oslet pull``."""

from __future__ import annotations

import click

from oslet.cli import options


@click.command("pull")
@click.argument("reference")
@click.option("--insecure", is_flag=True, help="Speak plain HTTP (loopback registries do without asking).")
@options.as_json
def command(reference: str, insecure: bool, as_json: bool) -> None:
    """Fetch an image that oslet pushed (host/name:tag or host/name@digest) into the store."""
    from oslet.cli import render
    from oslet.workspace import machine_arch
    from oslet.workspace.exports import pull

    with options.workspace() as workspace:
        built = pull(reference, workspace.store, workspace.progress, arch=machine_arch(), insecure=insecure)
    if as_json:
        render.as_json({"digest": built.digest, "name": built.image.name, "size": built.image.size})
    else:
        render.talk(f"{built.image.name}: {built.image.files} files, {render.size(built.image.size)}")
        render.data(built.digest)
