"""Tools that a host may lack, resolved, verified and kept in oslet's own store as any package is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from oslet.errors import NetworkError
from oslet.model.oslet import Policy, Wants
from oslet.model.source import Debian
from oslet.run import Tools
from oslet.store import Store

Progress: TypeAlias = Callable[[str, int, int], None]

PROVISIONED = {
    "crun": "usr/bin/crun",
    "slirp4netns": "usr/bin/slirp4netns",
    "erofs-utils": "usr/bin/mkfs.erofs",
    "e2fsprogs": "usr/sbin/mke2fs",
    "dosfstools": "usr/sbin/mkfs.vfat",
    "mtools": "usr/bin/mcopy",
    "qemu-utils": "usr/bin/qemu-img",
    "cryptsetup-bin": "usr/sbin/veritysetup",
}
"""Debian packages of the tools, and where each has its program."""


_BESIDE = {"e2fsprogs": ("libarchive13t64",)}
"""Libraries that a program opens by name, if it needs them: mke2fs reads tars with libarchive."""


def tools(store: Store, progress: Progress, source: Debian, *, network: bool) -> Tools:
    """The host's crun where it has it, else Debian's from the store; and slirp4netns likewise, if ``network``.

    An instance does without slirp4netns where it can't be had: it has no way out then, and says so.
    """
    runtime = shutil.which("crun")
    way_out = shutil.which("slirp4netns") if network else None
    path = Path(runtime) if runtime else provision("crun", store, progress, source)
    if not network or way_out:
        return Tools(path, Path(way_out) if way_out else None)
    try:
        return Tools(path, provision("slirp4netns", store, progress, source))
    except NetworkError:
        return Tools(path, None)


def provision(name: str, store: Store, progress: Progress, source: Debian) -> Path:
    """A Debian package with all it needs, laid down in the store to run from there, on any Linux.

    It comes from the default suite of ``source``'s mirror, or from the folder that ``vendor`` made if that is it.
    """
    from oslet.build.files import Files
    from oslet.build.merge import merge
    from oslet.run.provision import relocate
    from oslet.trim import trim
    from oslet.workspace import machine_arch
    from oslet.workspace.resolving import RUNTIME, contents, resolve, vendored_runtime

    arch = machine_arch()
    if (known := store.recall("tools", f"{name}-{arch}")) and (program := Path(known.decode())).exists():
        return program
    progress(f"getting {name}, which this machine lacks", 0, 0)
    plain = Debian(mirror=source.mirror, keyring=source.keyring)
    lock = vendored_runtime(plain) if name == RUNTIME else None
    lock = lock or resolve(Wants((name, *_BESIDE.get(name, ()))), plain, arch, store, progress, refresh=False)
    cut = trim(merge(contents(lock, plain, store, progress), lock), lock, Policy())
    tree = Files(store, cut.entries, cut.dropped).tree()
    root = relocate(store.lay_down(tree), store.root / "tools" / f"{name}-{store.save(tree)[:16]}")
    program = root / PROVISIONED[name]
    store.remember("tools", f"{name}-{arch}", str(program).encode())
    return program
