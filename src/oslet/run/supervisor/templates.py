"""Templates: guests that waited, kept as snapshots that parked guests are cloned from.

A snapshot stands in memory, in the keeper's mounts: it outlives a supervisor, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from oslet.run import config, placing
from oslet.run.machine import snapshots
from oslet.run.supervisor import machines, mounts
from oslet.run.supervisor.facts import Facts, Layout
from oslet.run.supervisor.slots import Slot

_ROOM = Path(config.PLACE, "snapshots")
_MOST = 16 << 30
"""Bytes of all snapshots: what guests have written to is all that is there."""


class Templates:
    """The snapshots of this user's guests. ``fill`` makes a slot in which a guest waits, ``spill`` ends one."""

    def __init__(self, fill: Callable[[Facts, Layout], Slot], spill: Callable[[Slot], None]) -> None:
        self._fill, self._spill = fill, spill
        self._locks: dict[Path, threading.Lock] = {}

    def of(self, facts: Facts, layout: Layout) -> Layout:
        """The layout of a clone, once there is what it is cloned from; the same where guests like it have no clones."""
        hardware = layout.hardware
        if hardware is None or hardware.vmm != "qemu" or layout.attached or layout.template:
            return layout
        if not _ROOM.is_dir():
            _ROOM.mkdir()
            mounts.tmpfs(_ROOM, _MOST)
        alike = (layout.image, layout.network == "none", layout.capabilities, layout.warm, layout.read_only)
        folder = snapshots.place(_ROOM, hardware, *alike)
        with self._locks.setdefault(folder, threading.Lock()), self._room(facts, layout) as run:
            snapshots.make(folder, machines.SNAPSHOT, run)
        return layout._replace(snapshot=str(folder))

    @contextmanager
    def _room(self, facts: Facts, layout: Layout) -> Iterator[Callable[[Path], Path]]:
        made: list[Slot] = []

        def run(folder: Path) -> Path:
            placing.own(folder, facts.image.uid, facts.image.gid, facts.mapping)
            slot = self._fill(facts, layout._replace(snapshot=str(folder), template=True))
            made.append(slot)
            return slot.folder / machines.PLACE[1:] / "qmp"

        try:
            yield run
        finally:
            for slot in made:
                self._spill(slot)
