"""A tree as a plain folder, for whatever wants files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from oslet.build.layers import Progress
from oslet.errors import BuildError
from oslet.model.tree import Tree
from oslet.store import Store


def export_rootfs(tree: Tree, store: Store, folder: Path, *, progress: Progress | None = None) -> None:
    """Copies the tree into ``folder``, which must not exist or be empty: contents, modes and links.

    Owners are set when the caller is root; an ordinary user's copy belongs to that user. The folder appears whole:
    it is made beside its place and renamed. BuildError if something stands there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BuildError("something stands there already", where=str(folder), hint="name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        new.mkdir(mode=0o755)
        _fill(tree, store, new, progress)
        new.replace(folder)
    except BaseException:
        _remove(new)
        raise


def _fill(tree: Tree, store: Store, root: Path, progress: Progress | None) -> None:
    owners = os.geteuid() == 0
    folders = []
    for count, entry in enumerate(tree.entries, 1):
        path = root / entry.path.lstrip("/")
        if entry.kind == "dir":
            path.mkdir(mode=0o700, exist_ok=entry.path == "/")
            folders.append(entry)
            continue
        if entry.kind == "link":
            path.symlink_to(entry.target)
        else:
            shutil.copyfile(store.object(entry.digest), path)
        if owners:
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
        if entry.kind == "file":
            path.chmod(entry.mode)
        if progress and count % 256 == 0:
            progress("writing files", count, len(tree.entries))
    for entry in reversed(folders):  # last, so that a folder without write permission can be filled
        path = root / entry.path.lstrip("/")
        if owners:
            os.chown(path, entry.uid, entry.gid)
        path.chmod(entry.mode)


def _remove(folder: Path) -> None:
    for path, _, _ in os.walk(folder):
        Path(path).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
