"""Wiring: the user's networks, made when the first instance needs one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from pathlib import Path

from oslet.run import config
from oslet.run.net.plug import Plug
from oslet.run.net.switch import Networks
from oslet.run.records import Record
from oslet.run.supervisor.keeper import Keeper

_APART = ("none", "host")
"""Networks that need no wire."""


class Wiring:
    """Cables for slots. What an earlier supervisor laid goes on."""

    def __init__(self, state: Path, keeper: Keeper, slirp4netns: Path | None) -> None:
        self._lock = threading.Lock()
        self._state = state
        self._keeper = keeper
        self._slirp4netns = slirp4netns
        self._made: Networks | None = None
        self._kept = {name: fd for name, fd in keeper.kept.items() if name.startswith("network/")}

    def _networks(self) -> Networks:
        with self._lock:
            if self._made is None:
                keep, drop = self._keeper.keep, self._keeper.drop
                self._made = Networks(self._state, keep, drop, self._kept, self._slirp4netns)
            return self._made

    def plug(self, network: str, number: str) -> tuple[Plug | None, int | None]:
        """A place in a network for the slot ``number``, and the descriptor of its namespace as ``config`` takes it."""
        if network in _APART:
            return None, None if network == "host" else config.OWN
        plug = self._networks().plug(network, number)
        return plug, self._networks().namespace(plug)

    def bare(self, plug: Plug) -> int:
        """A plug's cable as a descriptor, for a guest that speaks in frames."""
        return self._networks().bare(plug)

    def open(self, record: Record) -> None:
        """Let an instance be reached, and reach. RunError when a port is taken."""
        if record.plug:
            self._networks().open(record.plug, _known_as(record), record.published, record.allow)

    def close(self, plug: Plug | None) -> None:
        if plug:
            self._networks().close(plug)

    def adopt(self, running: Sequence[Record]) -> None:
        """Know what an earlier supervisor wired; whatever else it did is taken away."""
        if "network/switch" not in self._kept:
            return
        networks = self._networks()
        for record in running:
            if record.plug:
                networks.adopt(record.plug, _known_as(record), record.published, record.allow)
        networks.settle()

    def obstacle(self, record: Record) -> str:
        """Why an instance has no way out; empty if it has, or was to have none."""
        return self._networks().obstacle if record.plug else ""

    def socket(self) -> socket.socket:
        """A socket that reaches every instance at its address."""
        return self._networks().socket()

    def tend(self) -> None:
        if self._made:
            self._made.tend()

    def shut(self) -> None:
        if self._made:
            self._made.shut()


def _known_as(record: Record) -> str:
    """How others on its network find it."""
    return record.membership.member if record.membership else record.name
