"""Pools: slots that wait, by layout, filled behind the starts that empty them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from oslet.errors import RunError
from oslet.run.supervisor.facts import Layout
from oslet.run.supervisor.slots import Slot

_WARMTH = 60.0
"""Seconds for which one slot waits after a start like it, unasked."""
_UNASKED = 8
"""How many layouts have one unasked."""
_QUIET = 0.02
"""Seconds without a start before slots are filled again: a fill would take the processor from it, and the interpreter,
which is the fill's while the kernel makes a process."""
_PAUSE = 1.0
"""Seconds until a fill is tried again that failed."""


class _Pool:
    def __init__(self, fill: Callable[[], Slot]) -> None:
        self.fill = fill
        self.slots: list[Slot] = []
        self.said = 0
        self.leases: dict[object, int] = {}
        self.coming = 0
        self.until = 0.0
        self.not_before = 0.0

    @property
    def lacks(self) -> bool:
        """Whether one more is to be filled than already is."""
        return len(self.slots) + self.coming < self.wanted

    @property
    def asked(self) -> int:
        return self.said + sum(self.leases.values())

    @property
    def wanted(self) -> int:
        return max(self.asked, int(time.monotonic() < self.until))


class Pools:
    """All waiting slots. One thread fills them, so that starts have the processors first; ``spill`` ends a slot."""

    def __init__(self, spill: Callable[[Slot], None]) -> None:
        self._spill = spill
        self._pools: dict[Layout, _Pool] = {}
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._closed = False
        self._taken = 0.0
        self._filler = threading.Thread(target=self._keep_full, daemon=True)
        self._filler.start()

    def take(self, layout: Layout) -> Slot | None:
        """A waiting slot, and another one in its place soon."""
        with self._lock:
            pool = self._pools.get(layout.key)
            if pool is None or not pool.slots:
                return None
            self._taken = time.monotonic()
            return pool.slots.pop(0)

    def has(self, layout: Layout) -> bool:
        pool = self._pools.get(layout.key)
        return bool(pool and pool.slots)

    def expect(self, layout: Layout, fill: Callable[[], Slot]) -> None:
        """A start like this was made: one more may come."""
        with self._lock:
            pool = self._pools.setdefault(layout.key, _Pool(fill))
            self._taken = time.monotonic()
            pool.until = self._taken + _WARMTH
            unasked = sorted((p for p in self._pools.values() if not p.asked), key=lambda p: p.until)
            for old in unasked[:-_UNASKED]:
                old.until = 0.0
            self._news.notify()

    def keep(self, layout: Layout, count: int, fill: Callable[[], Slot], lease: object = None) -> None:
        """Have ``count`` slots wait from now on, or until the ``lease`` is released, beside those of other leases, and
        return once they do. RunError when one can't be made."""
        with self._lock:
            pool = self._pools.setdefault(layout.key, _Pool(fill))
            if lease is None:
                pool.said = count
            else:
                pool.leases[lease] = count
        while len(pool.slots) < pool.asked and not self._closed:
            with self._lock:
                lacks = pool.lacks
                pool.coming += lacks
                if not lacks:
                    self._news.wait(_QUIET)
            if lacks:
                self._fill(pool)
        self.trim()

    def _fill(self, pool: _Pool) -> None:
        """One slot more, of those that are ``coming``."""
        slot: Slot | None = None
        try:
            slot = pool.fill()
        finally:
            with self._lock:
                pool.coming -= 1
                pool.slots += [slot] if slot else []
                self._news.notify_all()

    def release(self, lease: object) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.leases.pop(lease, None)

    def lost(self, pid: int) -> Slot | None:
        """A waiting slot whose process has ended."""
        with self._lock:
            for pool in self._pools.values():
                for slot in pool.slots:
                    if slot.pid == pid:
                        pool.slots.remove(slot)
                        self._news.notify()
                        return slot
        return None

    def trim(self) -> None:
        """End what nobody wants any more."""
        with self._lock:
            surplus = [pool.slots.pop(0) for pool in self._pools.values() for _ in pool.slots[pool.wanted :]]
            for layout in [key for key, p in self._pools.items() if not p.slots and not p.wanted]:
                del self._pools[layout]
        for slot in surplus:
            self._spill(slot)

    @property
    def asked(self) -> bool:
        """Whether somebody asked for slots to wait."""
        return any(pool.asked for pool in self._pools.values())

    def counts(self) -> dict[str, int]:
        """How many slots wait, by image."""
        found: dict[str, int] = {}
        with self._lock:
            for layout, pool in self._pools.items():
                found[layout.image] = found.get(layout.image, 0) + len(pool.slots)
        return found

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for pool in self._pools.values():
                pool.said, pool.until = 0, 0.0
                pool.leases.clear()
            self._news.notify()
        self._filler.join()
        self.trim()

    def _keep_full(self) -> None:
        while not self._closed:
            with self._lock:
                now = time.monotonic()
                pool = next((p for p in self._pools.values() if p.lacks and p.not_before <= now), None)
                quiet = self._taken + _QUIET - now
                if pool is None or quiet > 0:
                    self._news.wait(_PAUSE if pool is None else quiet)
                    continue
                pool.coming += 1
            try:
                self._fill(pool)
            except (RunError, OSError):
                pool.not_before = time.monotonic() + _PAUSE  # a start will say why
