"""Root's way out: a cable from the switch to the machine, and one table of the machine's, with published ports in it.

Others' firewalls are left alone: a verdict of ours can't overrule theirs, so where anyone else looks at forwarded
packets (as Docker does, who drops them), root goes the ordinary user's way.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import NamedTuple

from oslet.run.net import links, nft
from oslet.run.net.namespace import sysctl
from oslet.run.net.netlink import Netlink
from oslet.run.net.nft import accept, drop, element, then

_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_LEGACY = Path("/proc/thread-self/net/ip_tables_names")
PREFIX = "oslet-"
"""What links and tables of ours begin with."""

_MAP = "ports"
_ROUTER = "router"
"""An empty chain that says: the machine forwarded nothing before."""

_TO, _FROM = -100, 100
_PROTOS = {"tcp": 6, "udp": 17}
_OURS, _THEIRS = b"\2\0\0\0\0\2", b"\2\0\0\0\0\3"
LINK = 0x20000
"""Index of the switch's end of the cable, which is ``up`` there."""


class Entry(NamedTuple):
    """A published port of the machine, and the instance's that it leads to."""

    address: IPv4Address
    port: int
    proto: str
    to: IPv4Address
    to_port: int

    @property
    def key(self) -> bytes:
        return self.address.packed + bytes((_PROTOS[self.proto], 0, 0, 0)) + self.port.to_bytes(2, "big") + b"\0\0"

    @property
    def element(self) -> bytes:
        return element(self.key, self.to.packed + self.to_port.to_bytes(2, "big") + b"\0\0")


def obstacle(netlink: Netlink, name: str) -> str:
    """Why the machine's own network can't carry this, or nothing. ``netlink`` is nf_tables' of the machine."""
    try:
        others = nft.foreign(netlink, name)
    except OSError as error:
        return f"nf_tables can't be used: {error.strerror}"
    if others := tuple(b for b in others if not b.table.startswith(PREFIX)):
        return f"the firewall {others[0].table!r} decides what is forwarded"
    with suppress(OSError):
        if "filter" in _LEGACY.read_text().split():
            return "iptables decides what is forwarded"
    return ""


class Machine:
    """The machine's side of root's network: a link and a table, both called ``name``."""

    def __init__(self, route: Netlink, tables: Netlink, name: str, pool: IPv4Network) -> None:
        self._route, self._tables = route, tables
        self._table = nft.Table(name)
        self._pool = pool
        self._here, self._there = pool.broadcast_address - 2, pool.broadcast_address - 1

    def connect(self, switch: Netlink, namespace: int) -> None:
        """Lay the cable into the switch and the table. To be called in the machine's network namespace."""
        self.disconnect()
        index = max((link.number for link in links.links(self._route)), default=0) + 1
        ends = links.End(index, self._table.name, _OURS), links.End(LINK, "up", _THEIRS)
        self._route.ask([
            links.cable(*ends, namespace),
            links.address(index, self._here, 30, routed=False),
            links.route(IPv4Network(self._there), index),
            links.neighbour(index, self._there, _THEIRS),
            links.route(self._pool, index, self._there),
        ])  # fmt: skip
        switch.ask([
            links.up(LINK),
            links.address(LINK, self._there, 30, routed=False),
            links.route(IPv4Network(self._here), LINK),
            links.neighbour(LINK, self._here, _OURS),
            links.route(IPv4Network("0.0.0.0/0"), LINK, self._here),
        ])  # fmt: skip
        # 127.0.0.1 leads to instances where a port is published there.
        sysctl(f"ipv4/conf/{self._table.name}/route_localnet", "1")
        router = _FORWARDING.read_text().strip() == "1" and not self._others(_ROUTER)
        self._lay(index, router=router)
        if not router:
            sysctl("ipv4/ip_forward", "1")

    def there(self) -> bool:
        """Whether the table is still there: anyone who is root may empty the machine's."""
        return "forward" in self._table.chains(self._tables)

    def leave(self) -> None:
        self._tables.close()

    def disconnect(self) -> None:
        """Take it all away. What forwarding was set to comes back, unless another of oslet's still needs it."""
        name = self._table.name
        with suppress(OSError):
            lent = _ROUTER in self._table.chains(self._tables)
            nft.commit(self._tables, [self._table.removed()])
            if lent and not self._others(_ROUTER):
                sysctl("ipv4/ip_forward", "0")
        for link in links.links(self._route):
            if link.name == name:
                self._route.ask([links.removed(link.number)])

    def _others(self, chain: str) -> bool:
        """Whether another user of oslet on this machine has such a chain."""
        found = nft.bases(self._tables)
        return any(b.chain == chain and b.table.startswith(PREFIX) and b.table != self._table.name for b in found)

    def _lay(self, index: int, *, router: bool) -> None:
        t, link = self._table, index.to_bytes(4, sys.byteorder)
        to_pool = nft.destination() + nft.within(self._pool.network_address.packed, self._pool.prefixlen)
        from_pool = nft.source() + nft.within(self._pool.network_address.packed, self._pool.prefixlen)
        looked_up = nft.mapped(_MAP, 0, 0) + nft.redirect()
        asked = nft.meta(nft.L4PROTO, 1) + nft.port(2) + looked_up
        shapes = (nft.ADDRESS, nft.PROTO, nft.SERVICE), (nft.ADDRESS, nft.SERVICE)
        leaves = nft.meta(nft.OIF) + nft.equals(link, differs=True)
        others = (nft.meta(key) + nft.equals(PREFIX.encode(), differs=True) for key in (nft.IIFNAME, nft.OIFNAME))
        messages = [
            t.made(),
            t.set(_MAP, shapes[0], data=shapes[1]),
            t.hook("entering", "nat", nft.PREROUTING, _TO),
            t.hook("asking", "nat", nft.OUTPUT, _TO),
            t.hook("leaving", "nat", nft.POSTROUTING, _FROM),
            t.hook("forward", "filter", nft.FORWARD, 0),
            t.hook("output", "filter", nft.OUTPUT, 0),
            t.rule("leaving", from_pool, leaves, nft.masquerade()),
            t.rule("leaving", to_pool, nft.source(), nft.within(b"\x7f\0\0\0", 8), nft.masquerade()),
        ]
        for chain in ("entering", "asking"):
            for address in (nft.destination(), nft.constant(bytes(4))):
                messages.append(t.rule(chain, nft.to_machine(), address, asked))
        for chain in ("forward", "output"):  # nobody gets in but through a published port
            for known in (nft.known(), nft.redirected()):
                messages.append(t.rule(chain, to_pool, known, then(accept)))
            messages.append(t.rule(chain, to_pool, then(drop)))
        if not router:  # the machine forwarded nothing before, and still nothing of others
            messages += [t.chain(_ROUTER), t.rule("forward", *others, then(drop))]
        nft.commit(self._tables, messages)

    def publish(self, entries: Iterable[Entry]) -> None:
        nft.commit(self._tables, [self._table.added(_MAP, [e.element for e in entries])])

    def withdraw(self, entries: Iterable[Entry]) -> None:
        nft.commit(self._tables, [self._table.taken(_MAP, [element(e.key) for e in entries])])

    def only(self, entries: Iterable[Entry]) -> None:
        """Withdraw all but these."""
        added = [e.element for e in entries]
        nft.commit(self._tables, [self._table.emptied(_MAP), *([self._table.added(_MAP, added)] if added else [])])
