"""An image that is busybox's shell with a script to run, from a root on disk."""

from __future__ import annotations

import os
from pathlib import Path

from oslet.model.image import Image
from oslet.model.oslet import Start
from oslet.model.tree import Entry, Tree
from oslet.run import Places, Sealed
from oslet.store import Store

SHELL = ("/bin/busybox", "sh", "-c")
SLEEP = "echo marked; exec busybox sleep 1000"


def sealed(places: Places, whole: Tree, root: Path, script: str, name: str) -> Sealed:
    store = Store(places.store)
    digest = store.save(whole)
    # The shell's sleep hears no SIGTERM as the first process, and nobody is to wait for the end of that.
    start = Start(command=(*SHELL, script), network="none", stop_signal="SIGKILL")
    value = Image(
        name=name, arch="amd64", plan="", tree=digest, lock="", start=start, params=(), rendered=(), files=1, size=1,
        uid=999, gid=999,
    )  # fmt: skip
    return Sealed(value, store.save(value), digest, root)


def tree(root: Path) -> Tree:
    """A root on disk as a value."""
    entries = []
    for path in sorted(root.rglob("*")):
        name, mode = f"/{path.relative_to(root)}", path.lstat().st_mode & 0o7777
        if path.is_symlink():
            entries.append(Entry(name, "link", 0o777, target=os.readlink(path)))
        else:
            entries.append(Entry(name, "dir" if path.is_dir() else "file", mode))
    return Tree(tuple(sorted(entries, key=lambda e: e.path)))
