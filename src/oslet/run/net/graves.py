"""Graves: cables of ended instances, which lie a little longer.

A cable goes with its instance's network namespace, of which the kernel removes many at once. To remove one alone takes
35 ms, in which no other can be made; so that is only for what stays although its instance has ended.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Sequence
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

_REST = 3.0
"""Seconds until a cable must be gone by itself."""


class _Grave(NamedTuple):
    until: float
    number: int
    address: IPv4Address
    namespace: int


class Graves:
    """A thread that lets namespaces go when it is time, and gives addresses back once their cables are gone."""

    def __init__(self, route: Netlink, pool: Pool) -> None:
        self._route, self._pool = route, pool
        self._fresh: deque[_Grave] = deque()
        self._old: deque[_Grave] = deque()
        self._changed = Condition()
        self._ended = False
        self._thread = Thread(target=self._serve, name="graves", daemon=True)
        self._thread.start()

    def dig(self, number: int, address: IPv4Address, namespace: int, *, late: bool = False) -> None:
        """Let a link go; only after LAST_WORDS if ``late``. ``namespace`` is closed then, unless it is -1."""
        grave = _Grave(time.monotonic() + LAST_WORDS if late else 0.0, number, address, namespace)
        with self._changed:
            if late:
                self._fresh.append(grave)
            else:
                self._fresh.appendleft(grave)
            self._changed.notify()

    def close(self) -> None:
        """Let go of all namespaces now."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def _serve(self) -> None:
        while not self._ended:
            with self._changed:
                due, rested = self._due(self._fresh), self._due(self._old)
                if not due and not rested and not self._ended:
                    first = min((line[0].until for line in (self._fresh, self._old) if line), default=None)
                    self._changed.wait(first and max(0.0, first - time.monotonic()))
                    continue
            for grave in due:
                if grave.namespace >= 0:
                    os.close(grave.namespace)
                self._old.append(grave._replace(until=time.monotonic() + _REST))
            if rested:
                self._clear(rested)
        for grave in self._fresh:
            if grave.namespace >= 0:
                os.close(grave.namespace)

    def _due(self, line: deque[_Grave]) -> list[_Grave]:
        now = time.monotonic()
        due = []
        while line and line[0].until <= now:
            due.append(line.popleft())
        return due

    def _clear(self, rested: Sequence[_Grave]) -> None:
        with suppress(OSError):
            there = {link.number for link in links.links(self._route)}
            if left := [grave.number for grave in rested if grave.number in there]:
                self._route.ask(links.all_removed(left))
        for grave in rested:
            self._pool.give(grave.address)
