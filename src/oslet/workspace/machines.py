"""Images as machines: sealed for a monitor to start, and what such a machine is told unless it is told otherwise."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

from oslet.build.machine.seal import Core, seal
from oslet.build.oci import PATH
from oslet.model.boot import Boot, Disk, GuestFile, Identity, User
from oslet.model.image import Image
from oslet.model.source import Debian
from oslet.workspace.tools import provision

if TYPE_CHECKING:
    from oslet.build.bound import Bound
    from oslet.build.machine.erofs import Compression
    from oslet.workspace import Workspace
    from oslet.workspace.kernels import Made

ADDRESS, GATEWAY, RESOLVER = "10.0.2.15/24", "10.0.2.2", "10.0.2.3"
"""Who a guest is behind QEMU's user networking (qemu(1), ``-netdev user``)."""


def sealed_machine(
    workspace: Workspace, image: Image, core: Core, *, boot: bytes = b"", compression: Compression = "none"
) -> Path:
    """The folder that a monitor starts an image from (build/machine/seal.py), from the store or made."""
    from oslet.run.native import program

    mkfs, init = tool(workspace, "erofs-utils"), program("init").read_bytes()
    return seal(image.tree, workspace.store, core, init, mkfs, boot=boot, compression=compression)


def smallest(made: Made) -> Compression:
    """The compression of the smallest root that a kernel reads."""
    return "lzma" if has(made, "EROFS_FS_ZIP_LZMA") else "lz4hc"


def has(made: Made, *symbols: str) -> bool:
    """Whether a kernel has all of these built in."""
    settings = (made.folder / "config").read_text()
    return all(f"\nCONFIG_{symbol}=y\n" in settings for symbol in symbols)


def standing(workspace: Workspace, image: Image, contract: Bound, disks: tuple[Disk, ...]) -> Boot:
    """What a machine of the image is told when nobody tells it more: all but the secrets."""
    from oslet.run.placing import hosts
    from oslet.run.supervisor.machines import mask
    from oslet.run.users import account

    start, found = contract.start, account(workspace.store.rootfs(image), image.uid)
    files = {
        "/etc/hostname": f"{image.name}\n".encode(),
        "/etc/hosts": hosts(image.name, "private"),
        "/etc/resolv.conf": f"nameserver {RESOLVER}\n".encode(),
    }
    network = start.network != "none"
    return Boot(
        argv=start.command,
        env={"PATH": PATH, "HOME": found.home, **dict(start.env)},
        workdir=start.workdir,
        user=User(image.uid, image.gid, found.groups, mask(start.capabilities)),
        stop=int(signal.Signals[start.stop_signal]),
        identity=Identity(image.name, ADDRESS, GATEWAY) if network else Identity(image.name),
        files=(
            *(GuestFile(path, data) for path, data in files.items()),
            *(GuestFile(file.path, file.data, file.mode, image.uid, image.gid) for file in contract.rendered),
        ),
        disks=disks,
    )


def tool(workspace: Workspace, name: str, program: str = "") -> Path:
    """A Debian package's program, provisioned, or another one of the same package."""
    found = provision(name, workspace.store, workspace.progress, Debian())
    return found.with_name(program) if program else found
