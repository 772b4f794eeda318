"""Kernels on disk: one folder each, whole or not there, found by what it was wanted for.

``kernels/KEY/kernel.json`` says what it is; ``wanted`` in it names what was asked for, and KEY, beside that, what it
was made from. Of several for the same wish the newest made is taken. A use marks the folder with the time.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from oslet.codec import canonical, decode
from oslet.errors import IntegrityError
from oslet.model.kernel import Recorded
from oslet.store.disk import Disk
from oslet.store.trees import landing

RECORD = "kernel.json"
KEPT = 30 * 86400.0
"""Seconds for which gc keeps a kernel that nobody uses: making one costs minutes."""


class Kernels:
    """The store's kernels."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._root = disk.root / "kernels"

    def find(self, wanted: str) -> Path | None:
        """The folder of the newest kernel made for ``wanted``, marked as used now."""
        found = [folder for folder in self._folders() if self.record(folder).wanted == wanted]
        if not found:
            return None
        newest = max(found, key=lambda folder: ((folder / RECORD).stat().st_mtime_ns, folder.name))
        os.utime(newest)
        return newest

    def keep(self, key: str, files: Mapping[str, Path], record: Recorded) -> Path:
        """Keep a kernel's files, by their names, under ``key``; its folder. Synced: it outlasts a power failure."""
        path = self._root / key
        with landing(self._disk, path) as temporary:
            temporary.mkdir()
            for name, file in files.items():
                (temporary / name).parent.mkdir(exist_ok=True)
                shutil.copy(file, temporary / name)
            (temporary / RECORD).write_bytes(msgspec.json.format(canonical(record), indent=1))
            for entry in (temporary, *temporary.rglob("*")):  # whatever the umask: instances have it mounted
                entry.chmod(0o755 if entry.is_dir() or entry.stat().st_mode & 0o100 else 0o644)
            self._disk.sync()
        os.utime(path / RECORD)
        return path

    def get(self, key: str) -> Path | None:
        """The folder of the kernel that was made from exactly that."""
        path = self._root / key
        return path if path.is_dir() else None

    def record(self, folder: Path) -> Recorded:
        """What a kernel's folder says of itself. IntegrityError for one that can't be read."""
        try:
            return decode((folder / RECORD).read_bytes(), Recorded, where=str(folder / RECORD))
        except OSError:
            raise IntegrityError("a kernel's record can't be read", where=str(folder), hint="remove it") from None

    def unused(self) -> list[Path]:
        """What gc may drop: kernels that a newer one for the same wish has replaced, and those not used for long."""
        newest: dict[str, Path] = {}
        for folder in sorted(self._folders(), key=lambda f: ((f / RECORD).stat().st_mtime_ns, f.name)):
            newest[self.record(folder).wanted] = folder
        kept = set(newest.values())
        return [f for f in self._folders() if f not in kept or f.stat().st_mtime < time.time() - KEPT]

    def _folders(self) -> list[Path]:
        return sorted(self._root.iterdir()) if self._root.is_dir() else []
