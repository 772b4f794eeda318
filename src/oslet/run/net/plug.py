"""Plug: an instance's place at the switch, as a record keeps it."""

from __future__ import annotations

from msgspec import Struct

PRIVATE = "private"
"""The network whose instances don't reach each other."""

FIRST = 0x10000
"""Indexes of cables begin here, at both ends."""


class Plug(Struct, frozen=True):
    """Where the instance ``id`` is: ``group`` is its network's number, ``address`` and ``gateway`` are IPv4 addresses,
    ``resolv`` is the text of its /etc/resolv.conf."""

    id: str
    network: str
    group: int
    address: str
    gateway: str
    resolv: str

    @property
    def index(self) -> int:
        """The index of its cable, which follows from the address: so no two can be mixed up."""
        high, low = self.address.split(".")[2:]
        return FIRST + int(high) * 256 + int(low)
