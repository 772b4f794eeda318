"""Tools that a host may lack, resolved, verified and kept in oslet's own store as any package is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from oslet.model.oslet import Policy, Wants
from oslet.model.source import Debian
from oslet.run import Tools
from oslet.store import Store

Progress: TypeAlias = Callable[[str, int, int], None]

PROVISIONED = {"crun": "usr/bin/crun", "slirp4netns": "usr/bin/slirp4netns"}
"""Debian packages of the tools, and where each has its program."""


def tools(store: Store, progress: Progress) -> Tools:
    """The host's crun and slirp4netns where it has them, else Debian's from the store."""
    runtime = shutil.which("crun")
    network = shutil.which("slirp4netns")
    return Tools(
        Path(runtime) if runtime else provision("crun", store, progress),
        Path(network) if network else provision("slirp4netns", store, progress),
    )


def provision(name: str, store: Store, progress: Progress) -> Path:
    """A Debian package with all it needs, laid down in the store to run from there, on any Linux."""
    from oslet.build.files import Files
    from oslet.build.merge import merge
    from oslet.run.provision import relocate
    from oslet.trim import trim
    from oslet.workspace import machine_arch
    from oslet.workspace.resolving import contents, resolve

    arch = machine_arch()
    if (known := store.recall("tools", f"{name}-{arch}")) and (program := Path(known.decode())).exists():
        return program
    progress(f"getting {name}, which this machine lacks", 0, 0)
    source = Debian()
    lock = resolve(Wants((name,)), source, arch, store, progress, refresh=False)
    cut = trim(merge(contents(lock, source, store, progress), lock), lock, Policy())
    tree = Files(store, cut.entries, cut.dropped).tree()
    root = relocate(store.lay_down(tree), store.root / "tools" / f"{name}-{store.save(tree)[:16]}")
    program = root / PROVISIONED[name]
    store.remember("tools", f"{name}-{arch}", str(program).encode())
    return program
