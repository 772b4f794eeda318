"""A sealed machine: the folder that a monitor starts an image from."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from oslet.build.machine import erofs
from oslet.build.machine.initramfs import initramfs
from oslet.codec import digest
from oslet.store import Store

KERNEL, INITRAMFS, ROOT = "kernel", "initramfs", erofs.FILE
"""What the folder holds."""

_EDITION = 1


class Core(NamedTuple):
    """A kernel: ``key`` names what it was made from, ``image`` is the file that is booted, ``modules`` are unpacked and
    to be loaded in this order."""

    key: str
    image: Path
    modules: tuple[Path, ...] = ()


def seal(
    tree: str,
    store: Store,
    core: Core,
    init: bytes,
    mkfs: Path,
    *,
    boot: bytes = b"",
    compression: erofs.Compression = "none",
) -> Path:
    """The folder with ``kernel``, ``initramfs`` and ``root.erofs`` of the tree with that digest; made the first time.

    ``init`` is the guest's init as a program, ``boot`` a boot record that holds unless the guest is told otherwise,
    ``mkfs`` is mkfs.erofs. Equal arguments give equal files. BuildError when a tool fails.
    """
    facts = (core.key, core.image.name, hashlib.sha256(init).hexdigest(), hashlib.sha256(boot).hexdigest())
    key = digest(("machine", tree, facts, mkfs.parts[-4:], compression, _EDITION))

    def fill(folder: Path) -> None:
        root = erofs.root(tree, store, mkfs, compression)
        _share(root, folder / ROOT)
        _share(core.image, folder / KERNEL)
        (folder / INITRAMFS).write_bytes(initramfs(init, core.modules, boot))

    return store.keep_machine(key, tree, fill)


def _share(source: Path, target: Path) -> None:
    """The same file under another name, or a copy where file systems don't share; neither is ever written to."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
