"""Plug: an instance's place at the switch, as a record keeps it."""

from __future__ import annotations

import re

from msgspec import Struct

from oslet.errors import RunError

PRIVATE = "private"
"""The network whose instances don't reach each other."""

FIRST = 0x10000
"""Indexes of cables begin here, at both ends."""


_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check(network: str) -> str:
    """The name of a network, as it is given. RunError for one that can't be the end of a host's name."""
    if _NAME.fullmatch(network):
        return network
    raise RunError(f"{network!r} can't be a network's name", hint="write small letters, digits and hyphens, at most 63")


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
