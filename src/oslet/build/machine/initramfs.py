"""The first root: the guest's init, the modules that it loads, and what it is told unless something else is.

Uncompressed: it is a few tens of KB, and a kernel without any decompressor then unpacks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oslet.formats import cpio


def initramfs(init: bytes, modules: Sequence[Path] = (), boot: bytes = b"") -> bytes:
    """``init`` as /init; ``modules``, in the order they are loaded in (/modules.list), in /modules; a boot record."""
    return cpio.pack(members(init, modules, boot))


def members(init: bytes, modules: Sequence[Path], boot: bytes) -> list[cpio.Member]:
    """The same as an archive's members, folders first."""
    names = [f"/modules/{path.name}" for path in modules]
    return [
        cpio.folder("/dev"),
        cpio.device("/dev/console", 5, 1),  # what the kernel opens as init's standard streams
        cpio.file("/init", init, 0o755),
        *([cpio.folder("/modules")] if names else ()),
        *(cpio.file(name, path.read_bytes()) for name, path in zip(names, modules)),
        *([cpio.file("/modules.list", "".join(f"{name}\n" for name in names).encode())] if names else ()),
        *record(boot),
    ]


def record(boot: bytes) -> list[cpio.Member]:
    """Where init looks for a boot record first."""
    return [cpio.folder("/.oslet", 0o700), cpio.file("/.oslet/boot", boot, 0o600)] if boot else []
