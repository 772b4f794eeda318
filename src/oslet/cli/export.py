"""``oslet export``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from oslet.cli import options


@click.command("export")
@options.target
@click.option("--oci", type=click.Path(path_type=Path), help="An OCI image layout, in this folder.")
@click.option("--tar", type=click.Path(path_type=Path), help="One file that `docker load`, podman and skopeo read.")
@click.option("--rootfs", type=click.Path(path_type=Path), help="The bare file system, in this folder.")
@click.option("--compression", type=click.Choice(["gzip", "zstd", "none"]), default="gzip", show_default=True)
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A param's value in the exported image.")
@options.as_json
def command(
    target: str,
    oci: Path | None,
    tar: Path | None,
    rootfs: Path | None,
    compression: Literal["gzip", "zstd", "none"],
    given: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write an image as OCI (--oci, --tar) or as a folder (--rootfs).

    Engines other than oslet can't fill params when an instance starts, so the exported image holds the defaults or
    what --set says.
    """
    from oslet.cli import render
    from oslet.workspace.exports import Form, export

    if not (oci or tar or rootfs):
        raise click.UsageError("say where to: --oci FOLDER, --tar FILE or --rootfs FOLDER")
    with options.workspace() as workspace:
        built = workspace.image(target)
        forms: tuple[tuple[Form, Path | None], ...] = (("oci", oci), ("tar", tar), ("rootfs", rootfs))
        for kind, where in forms:
            if where:
                export(
                    built,
                    kind,
                    where,
                    workspace.store,
                    workspace.progress,
                    compression=compression,
                    given=options.pairs(given),
                )
    if as_json:
        render.as_json({"digest": built.digest, "oci": str(oci), "tar": str(tar), "rootfs": str(rootfs)})
    else:
        for where in filter(None, (oci, tar, rootfs)):
            render.data(str(where))
