"""Machines on disk: what a tree was sealed to, for a virtual machine to start from.

``machines/KEY/`` is there whole or not at all, and holds files alone. ``of`` names the tree that they were made from:
gc keeps the folder as long as that. All of them can be made again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from oslet.store.disk import Disk, sync_folder
from oslet.store.trees import landing

ROOM = "machines"
OF = "of"


def keep(disk: Disk, key: str, tree: str, fill: Callable[[Path], None]) -> Path:
    """The folder of ``key``; if it isn't there, ``fill`` puts the files into a new one, which then takes its place."""
    path = disk.root / ROOM / key
    if (path / OF).is_file():
        return path
    with landing(disk, path) as temporary:
        temporary.mkdir()
        temporary.chmod(0o755)
        fill(temporary)
        (temporary / OF).write_text(tree)
        for file in temporary.iterdir():
            _settle(file)
        sync_folder(temporary)
        path.parent.mkdir(exist_ok=True)
        path.parent.chmod(0o755)
    return path


def _settle(file: Path) -> None:
    """Readable by all, whatever the umask, and on the disk. User-mode Linux is a kernel that is a program."""
    file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def orphans(root: Path, trees: set[str]) -> list[Path]:
    """The folders whose tree is none of ``trees``."""
    room = root / ROOM
    return [path for path in sorted(room.iterdir()) if _of(path) not in trees] if room.is_dir() else []


def _of(path: Path) -> str:
    try:
        return (path / OF).read_text()
    except OSError:
        return ""
