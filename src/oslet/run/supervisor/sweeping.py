"""Sweeping: what a supervisor that was killed left of what was being made."""

from __future__ import annotations

import shutil
from collections.abc import Container
from pathlib import Path

from oslet.run import config, limits, records
from oslet.run.supervisor import mounts


def sweep(state: Path, living: Container[str]) -> None:
    """Remove what belongs to nothing that runs: half-made places, sandboxes' state, cgroups, folders. ``living`` are
    the slots of what does; nothing may be made meanwhile."""
    for entry in Path(config.PLACE).iterdir():
        if entry.name not in ("cgroup", "snapshots"):
            mounts.detach(entry)
            shutil.rmtree(entry, ignore_errors=True)
    for folder in (state / "runtime").iterdir():
        if folder.name not in living and not folder.name.startswith("."):
            shutil.rmtree(folder, ignore_errors=True)
    for folder in records.folders(state).iterdir():
        if records.read(folder) is None:  # a slot's, by the name of which its cgroups are found
            if folder.name not in living:
                limits.clear(limits.named(folder.name, root=Path(config.PLACE, "cgroup")))
            shutil.rmtree(folder, ignore_errors=True)
