"""``oslet vendor``."""

from __future__ import annotations

from pathlib import Path

import click

from oslet.cli import options


@click.command("vendor")
@options.file
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@options.as_json
def command(file: str, folder: Path, as_json: bool) -> None:
    """Put the locked packages in FOLDER, so that the build outlives its archive.

    A later build takes them from there with `mirror = "FOLDER"` under [source], or OSLET_MIRROR=FOLDER.
    """
    from oslet.cli import render
    from oslet.errors import DeclarationError
    from oslet.model.source import Oci
    from oslet.workspace import Declared
    from oslet.workspace.resolving import vendor

    with options.workspace() as workspace:
        declared = Declared.read(file)
        source = declared.oslet.source
        if isinstance(source, Oci):
            raise DeclarationError("an image has no packages to vendor", where=source.oci, hint="keep the image itself")
        lock = workspace.locked(declared)
        vendor(lock, source, workspace.store, folder, workspace.progress)
    if as_json:
        render.as_json(
            {"folder": str(folder), "packages": len(lock.packages), "wheels": len(lock.wheels), "size": lock.size}
        )
    else:
        render.talk(f"{folder}: {len(lock.packages)} packages, {len(lock.wheels)} wheels, {render.size(lock.size)}")
