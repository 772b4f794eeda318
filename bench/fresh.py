"""A fresh PostgreSQL with its data folder, as each test gets one: to the first SELECT, and where the time goes."""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from bench.measure import Figure, say, show

ROUNDS = 20
BAR = 0.150
_PAUSE = 0.3
"""Seconds between two, in which a slot is filled again, as while a test runs."""


class Spent(NamedTuple):
    """Seconds of one test's database."""

    start: float
    ready: float
    select: float
    gone: float

    @property
    def whole(self) -> float:
        return self.start + self.ready + self.select


def databases(room: Path) -> list[Figure]:
    """Medians of the plugin's own way: a slot that waits, a clone of the snapshot, a free port."""
    import psycopg

    from oslet.catalog import Postgres
    from oslet.run import end
    from oslet.testing.instances import Starter

    starter = Starter(room, say)
    state = starter.workspace.places.state
    seen = []
    try:
        asked = starter.ask(Postgres, {"durable": False})
        with starter.held(starter.start(asked)):
            parked = starter.park(asked, 1)
        for _ in range(ROUNDS):
            time.sleep(_PAUSE)
            marks = [time.perf_counter()]
            running = starter.start(asked)
            marks.append(time.perf_counter())
            with starter.held(running):
                running.ready()
                marks.append(time.perf_counter())
                with psycopg.connect(running.url) as connection:
                    connection.execute("select 1").fetchone()
                    marks.append(time.perf_counter())
                left = time.perf_counter()
            start, ready, select = (b - a for a, b in pairwise(marks))
            seen.append(Spent(start, ready, select, time.perf_counter() - left))
        parked.close()
    finally:
        end(state, force=True)
    return _figures(seen)


def _figures(seen: list[Spent]) -> list[Figure]:
    def median(values: list[float]) -> str:
        return show(statistics.median(values))

    whole = statistics.median(each.whole for each in seen)
    worst = f"most: {show(max(each.whole for each in seen))}"
    return [
        Figure("fresh Postgres to first SELECT", show(whole), f"≤ {show(BAR)}", whole <= BAR, worst),
        Figure("fresh Postgres: its instance runs", median([each.start for each in seen])),
        Figure("fresh Postgres: until it is healthy", median([each.ready for each in seen])),
        Figure("fresh Postgres: connect and SELECT", median([each.select for each in seen])),
        Figure("fresh Postgres: gone again", median([each.gone for each in seen])),
    ]
