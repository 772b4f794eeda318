"""Images as machines: sealed for a monitor to start, exported as a folder or a disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oslet.build.machine.seal import Core, seal
from oslet.model.image import Image
from oslet.model.source import Debian
from oslet.workspace.tools import provision

if TYPE_CHECKING:
    from oslet.build.machine.erofs import Compression
    from oslet.workspace import Workspace


def sealed_machine(
    workspace: Workspace, image: Image, core: Core, *, boot: bytes = b"", compression: Compression = "none"
) -> Path:
    """The folder that a monitor starts an image from (build/machine/seal.py), from the store or made."""
    from oslet.run.native import program

    mkfs, init = tool(workspace, "erofs-utils"), program("init").read_bytes()
    return seal(image.tree, workspace.store, core, init, mkfs, boot=boot, compression=compression)


def tool(workspace: Workspace, name: str, program: str = "") -> Path:
    """A Debian package's program, provisioned, or another one of the same package."""
    found = provision(name, workspace.store, workspace.progress, Debian())
    return found.with_name(program) if program else found
