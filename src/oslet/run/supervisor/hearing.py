"""Hearing: what is done when a descriptor can be read, for all descriptors of a supervisor."""

from __future__ import annotations

import select
from collections.abc import Callable
from contextlib import suppress


class Hearing:
    """Threads may add to it and take from it; one listens."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._heard: dict[int, Callable[[], None]] = {}

    def hear(self, descriptor: int, what: Callable[[], None]) -> None:
        self._heard[descriptor] = what
        self._poll.register(descriptor, select.EPOLLIN | select.EPOLLRDHUP)

    def unhear(self, descriptor: int) -> None:
        if self._heard.pop(descriptor, None):
            with suppress(OSError):
                self._poll.unregister(descriptor)

    def listen(self, seconds: float) -> None:
        """Do what is to be done, once something is heard or the time is over."""
        for descriptor, _ in self._poll.poll(seconds, 64):
            if heard := self._heard.get(descriptor):
                heard()
