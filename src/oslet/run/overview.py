"""An overview of what runs: each instance with what it uses, from look to look."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec import Struct

from oslet.errors import RunError
from oslet.run import living, records


class Row(Struct, frozen=True):
    """One instance: ``cpu`` in hundredths of one processor since the last look (at the first, since its start),
    ``memory`` in bytes as ``Stats`` has it, ``uptime`` in seconds. What waits to be restarted uses nothing."""

    id: str
    name: str
    image_name: str
    state: str
    cpu: float
    memory: int
    processes: int
    uptime: float
    restarts: int
    health: str
    ports: tuple[int, ...]


class Overview:
    """Looks at the instances of ``state``; what is known of the last look makes the next one's ``cpu``."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._last: dict[tuple[str, int], tuple[float, float]] = {}

    def look(self) -> tuple[Row, ...]:
        """Those that run or soon do again, oldest first."""
        seen = {}
        rows = []
        for folder, record in records.records(self._state):
            instance = records.observe(folder, record)
            if instance.state == "exited":
                continue
            try:
                used = living.used(record)
            except RunError:
                used = living.Stats(0, 0.0, 0, 0.0, {})
            now, key = time.monotonic(), (record.id, record.pid)
            before, then = self._last.get(key, (0.0, now - used.uptime))
            seen[key] = (used.cpu, now)
            share = 100 * max(0.0, used.cpu - before) / (now - then) if now > then else 0.0
            rows.append(
                Row(
                    id=instance.id,
                    name=instance.name,
                    image_name=instance.image_name,
                    state=instance.state,
                    cpu=round(share, 1),
                    memory=used.memory,
                    processes=used.processes,
                    uptime=round(used.uptime, 1),
                    restarts=instance.restarts,
                    health=instance.health,
                    ports=instance.ports,
                )
            )
        self._last = seen
        return tuple(rows)
