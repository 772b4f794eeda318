"""Graves: cables of ended instances, which lie a little longer."""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress
from ipaddress import IPv4Address
from threading import Condition, Thread
from typing import NamedTuple

from oslet.run.net import links
from oslet.run.net.netlink import Netlink
from oslet.run.net.pool import Pool

LAST_WORDS = 1.0
"""Seconds that what the application wrote before it ended may take to reach its peers: a network namespace without
processes would take it along at once."""


class _Grave(NamedTuple):
    until: float
    number: int
    address: IPv4Address
    namespace: int


class Graves:
    """A thread that takes cables away when it is time, and gives their addresses back."""

    def __init__(self, route: Netlink, pool: Pool) -> None:
        self._route, self._pool = route, pool
        self._waiting: deque[_Grave] = deque()
        self._changed = Condition()
        self._ended = False
        self._thread = Thread(target=self._serve, name="graves", daemon=True)
        self._thread.start()

    def dig(self, index: int, address: IPv4Address, namespace: int, *, late: bool = False) -> None:
        """Take a cable away; only after LAST_WORDS if ``late``. ``namespace`` is closed then, unless it is -1."""
        grave = _Grave(time.monotonic() + LAST_WORDS if late else 0.0, index, address, namespace)
        with self._changed:
            self._waiting.append(grave) if late else self._waiting.appendleft(grave)
            self._changed.notify()

    def close(self) -> None:
        """All of them, now."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._ended and (not self._waiting or self._waiting[0].until > time.monotonic()):
                    self._changed.wait(self._waiting[0].until - time.monotonic() if self._waiting else None)
                now = time.monotonic()
                due = []
                while self._waiting and (self._ended or self._waiting[0].until <= now):
                    due.append(self._waiting.popleft())
                ended = self._ended
            self._bury(due)
            if ended:
                return

    def _bury(self, due: list[_Grave]) -> None:
        for grave in due:
            with suppress(OSError):  # it went with its namespace
                self._route.ask([links.removed(grave.number)])
            if grave.namespace >= 0:
                os.close(grave.namespace)
            self._pool.give(grave.address)
