"""Probing: whether instances do their work, asked again and again from outside, so that `ps` and events can tell."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from oslet.errors import OsletError
from oslet.run import records
from oslet.run.supervisor.events import Events
from oslet.run.supervisor.lives import Life, Lives

_FIRST, _SLOWEST = 0.05, 1.0
"""Seconds between the probes of an instance that wasn't well yet: half as much more each time, up to the second."""
_EVERY = 15.0
"""Seconds between the probes of one that was."""
_FAILURES = 3
"""Probes in a row that fail before an instance that was well is not."""


class Probed:
    """What is known of one instance."""

    def __init__(self) -> None:
        self.due = 0.0
        self.pause = _FIRST
        self.failures = 0
        self.state = ""


class Probing:
    """One thread that asks. ``well`` says whether a life answers; OsletError counts as no."""

    def __init__(self, lives: Lives, events: Events, well: Callable[[Life], bool]) -> None:
        self._lives = lives
        self._events = events
        self._well = well
        self._known: dict[tuple[str, int], Probed] = {}
        threading.Thread(target=self._probe, daemon=True).start()

    def _probe(self) -> None:
        while True:
            asked = {(life.record.id, life.record.pid): life for life in self._lives if life.record.health}
            self._known = {key: self._known.get(key, Probed()) for key in asked}
            now = time.monotonic()
            for key, life in asked.items():
                if self._known[key].due <= now:
                    self._ask(life, self._known[key])
            due = min((probed.due for probed in self._known.values()), default=now + _SLOWEST)
            time.sleep(min(max(_FIRST, due - time.monotonic()), _SLOWEST))

    def _ask(self, life: Life, probed: Probed) -> None:
        well = False
        with suppress(OsletError, OSError):
            well = self._well(life)
        probed.failures = 0 if well else probed.failures + 1
        state = "healthy" if well else "unhealthy" if probed.failures >= _FAILURES else probed.state
        if state == "unhealthy" and not probed.state:
            state = ""  # it is still on its way
        if state != probed.state and not life.ended.is_set():
            probed.state = state
            with suppress(OSError):
                (life.folder / records.HEALTH).write_text(state)
            self._events.tell(state, life.record)
        probed.pause = _EVERY if probed.state else min(probed.pause * 1.5, _SLOWEST)
        probed.due = time.monotonic() + probed.pause
