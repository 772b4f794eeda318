"""``oslet export``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from oslet.cli import options
from oslet.model.oslet import KERNELS, Kernel


@click.command("export")
@options.target
@click.option("--oci", type=click.Path(path_type=Path), help="An OCI image layout, in this folder.")
@click.option("--tar", type=click.Path(path_type=Path), help="One file that `docker load`, podman and skopeo read.")
@click.option("--rootfs", type=click.Path(path_type=Path), help="The bare file system, in this folder.")
@click.option(
    "--microvm", type=click.Path(path_type=Path), help="Kernel and root for a virtual machine, in this folder."
)
@click.option("--disk", type=click.Path(path_type=Path), help="A disk that a machine with UEFI starts, as this file.")
@click.option("--format", "image", type=click.Choice(["raw", "qcow2", "vmdk"]), default="raw", help="What the disk is.")
@click.option("--kernel", type=click.Choice(KERNELS), help="The machine's kernel, if not the one it declares.")
@click.option("--form", type=click.Choice(["disk", "initramfs"]), default="disk", help="What the machine's root is.")
@click.option("--compression", type=click.Choice(["gzip", "zstd", "none"]), default="gzip", show_default=True)
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A param's value in the exported image.")
@options.as_json
def command(
    target: str,
    oci: Path | None,
    tar: Path | None,
    rootfs: Path | None,
    microvm: Path | None,
    disk: Path | None,
    image: Literal["raw", "qcow2", "vmdk"],
    kernel: Kernel | None,
    form: Literal["disk", "initramfs"],
    compression: Literal["gzip", "zstd", "none"],
    given: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write an image as OCI (--oci, --tar), as a folder (--rootfs), or as a machine (--microvm, --disk).

    Engines other than oslet can't fill params when an instance starts, so the exported image holds the defaults or
    what --set says.
    """
    from oslet.cli import render
    from oslet.workspace.exports import Form, export

    if not (oci or tar or rootfs or microvm or disk):
        raise click.UsageError("say where to: --oci, --rootfs or --microvm FOLDER, --tar or --disk FILE")
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
        if microvm:
            from oslet.workspace.appliance import export_microvm

            export_microvm(workspace, built, microvm, choice=kernel, given=options.pairs(given), form=form)
        if disk:
            from oslet.workspace.bootable import export_disk

            export_disk(workspace, built, disk, form=image, choice=kernel, given=options.pairs(given))
    places = {"oci": oci, "tar": tar, "rootfs": rootfs, "microvm": microvm, "disk": disk}
    if as_json:
        render.as_json({"digest": built.digest, **{name: where and str(where) for name, where in places.items()}})
    else:
        for where in filter(None, places.values()):
            render.data(str(where))
