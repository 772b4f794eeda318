"""The switch's rules: who may say what to whom. What isn't allowed here is dropped, so a parked slot is deaf and mute.

An instance is open once its address is in the set ``open`` and in the map ``from``, with what it may reach. Which
network a cable belongs to is its link's group; groups in ``same`` let their members talk to each other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, collapse_addresses
from typing import NamedTuple

from oslet.run.net import nft
from oslet.run.net.netlink import Message, Netlink
from oslet.run.net.nft import accept, element, goto, jump, then

TABLE = "oslet"
ANY = 0
"""In place of a port: all of them."""

_TCP, _UDP, _ICMP = b"\x06", b"\x11", b"\x01"
_FILTER, _SOURCE = 0, 100
_PREFIX = "to-"


class Opened(NamedTuple):
    """An open instance: its link's index, its address, and whether it may reach only what is listed."""

    number: int
    address: IPv4Address
    listed: bool

    @property
    def chain(self) -> str:
        return f"{_PREFIX}{self.address}"

    @property
    def hosts(self) -> str:
        return f"hosts-{self.address}"

    @property
    def nets(self) -> str:
        return f"nets-{self.address}"


class Reach(NamedTuple):
    """What a list allows: addresses with ports (or ANY), and networks."""

    hosts: tuple[tuple[IPv4Address, int], ...] = ()
    nets: tuple[IPv4Network, ...] = ()


def _native(*numbers: int) -> bytes:
    return b"".join(n.to_bytes(4, sys.byteorder) for n in numbers)


def _service(address: IPv4Address, port: int) -> bytes:
    return address.packed + port.to_bytes(2, "big") + b"\0\0"


class Rules:
    """The rules of one switch; each call is one step, seen whole or not at all."""

    def __init__(self, netlink: Netlink, pool: IPv4Network) -> None:
        self._netlink = netlink
        self._pool = pool
        self._table = nft.Table(TABLE)

    def lay(self, gateway: IPv4Address) -> None:
        """The table, with nobody in it. OSError where the kernel has no nf_tables."""
        t = self._table
        pool = nft.destination() + nft.within(self._pool.network_address.packed, self._pool.prefixlen)
        asked = nft.source() + nft.among("open") + nft.destination() + nft.equals(gateway.packed)
        domain = nft.port() + nft.equals((53).to_bytes(2, "big"))
        self._commit(
            t.made(),
            t.set("open", (nft.ADDRESS,)),
            t.set("machine", (nft.ADDRESS,)),
            t.set("same", (nft.GROUP, nft.GROUP)),
            t.set("up", (nft.INDEX,)),
            t.set("from", (nft.INDEX, nft.ADDRESS), data=()),
            *map(t.chain, ("inside", "refuse", "anywhere", "granted")),
            t.hook("input", "filter", nft.INPUT, _FILTER, nft.DROP),
            t.hook("forward", "filter", nft.FORWARD, _FILTER, nft.DROP),
            t.hook("leaving", "nat", nft.POSTROUTING, _SOURCE),
            t.rule("inside", nft.meta(nft.IIFGROUP), nft.meta(nft.OIFGROUP, 1), nft.among("same"),
                   nft.destination(), nft.among("open"), then(accept)),
            t.rule("refuse", nft.refuse()),
            t.rule("granted", pool, then(jump("inside"))),
            t.rule("granted", pool, then(goto("refuse"))),
            t.rule("granted", then(accept)),
            t.rule("anywhere", pool, then(jump("inside"))),
            t.rule("anywhere", pool, then(goto("refuse"))),
            t.rule("anywhere", nft.destination(), nft.among("machine"), then(goto("refuse"))),
            t.rule("anywhere", then(accept)),
            t.rule("forward", nft.known(), then(accept)),
            t.rule("forward", nft.meta(nft.IIF), nft.among("up"), nft.destination(), nft.among("open"), then(accept)),
            t.rule("forward", nft.meta(nft.IIF), nft.source(1), nft.mapped("from")),
            t.rule("input", nft.known(), then(accept)),
            t.rule("input", nft.meta(nft.IIF), nft.equals(_native(1)), then(accept)),
            t.rule("input", asked, nft.meta(nft.L4PROTO), nft.equals(_ICMP), then(accept)),
            t.rule("input", asked, nft.meta(nft.L4PROTO), nft.equals(_UDP), domain, then(accept)),
            t.rule("input", asked, nft.meta(nft.L4PROTO), nft.equals(_TCP), domain, then(accept)),
        )  # fmt: skip

    def uplink(self, index: int, *, hidden: bool) -> None:
        """Which link leads out; ``hidden`` when everything leaves under that one's address."""
        t = self._table
        hiding = [t.rule("leaving", nft.meta(nft.OIF), nft.equals(_native(index)), nft.masquerade())]
        self._commit(t.added("up", [element(_native(index))]), *(hiding if hidden else []))

    def machine(self, addresses: Iterable[IPv4Address]) -> None:
        """The machine's own addresses, anew: none of them is reached unless it is listed."""
        elements = [element(a.packed) for a in sorted(set(addresses))]
        added = [self._table.added("machine", elements)] if elements else []
        self._commit(self._table.emptied("machine"), *added)

    def join(self, group: int) -> None:
        """Links of a group may talk to each other."""
        self._commit(self._table.added("same", [element(_native(group, group))]))

    def open(self, opened: Opened, reach: Reach) -> None:
        self._commit(*(self._listing(opened, reach) if opened.listed else ()), *self._entered((opened,)))

    def close(self, opened: Opened) -> None:
        t = self._table
        gone = [
            t.taken("from", [element(_native(opened.number) + opened.address.packed)]),
            t.taken("open", [element(opened.address.packed)]),
        ]
        self._commit(*gone, *(self._unlisting(opened.chain) if opened.listed else ()))

    def allow(self, opened: Opened, hosts: Sequence[tuple[IPv4Address, int]]) -> None:
        """Add addresses to what a listed one may reach."""
        self._commit(self._table.added(opened.hosts, [element(_service(*host)) for host in hosts]))

    def forbid(self, opened: Opened, hosts: Sequence[tuple[IPv4Address, int]]) -> None:
        self._commit(self._table.taken(opened.hosts, [element(_service(*host)) for host in hosts]))

    def listed(self, opened: Opened) -> bool:
        """Whether an open one's list is in the kernel."""
        return opened.chain in self._table.chains(self._netlink)

    def only(self, opened: Sequence[Opened]) -> None:
        """Close all but these, whatever there was."""
        t = self._table
        mine = {one.chain for one in opened}
        stale = [c for c in t.chains(self._netlink) if c.startswith(_PREFIX) and c not in mine]
        gone = [message for chain in stale for message in self._unlisting(chain)]
        self._commit(t.emptied("from"), t.emptied("open"), *self._entered(opened), *gone)

    def leave(self) -> None:
        self._netlink.close()

    def _entered(self, opened: Sequence[Opened]) -> list[Message]:
        t = self._table
        if not opened:
            return []
        ways = [
            element(_native(o.number) + o.address.packed, goto(o.chain if o.listed else "anywhere")) for o in opened
        ]
        return [t.added("from", ways), t.added("open", [element(o.address.packed) for o in opened])]

    def _listing(self, opened: Opened, reach: Reach) -> list[Message]:
        t = self._table
        granted, named = then(goto("granted")), opened.hosts
        pool = nft.destination() + nft.within(self._pool.network_address.packed, self._pool.prefixlen)
        messages = [
            t.set(named, (nft.ADDRESS, nft.SERVICE)),
            t.chain(opened.chain),
            t.rule(opened.chain, nft.destination(), nft.constant(_native(ANY), 1), nft.among(named), granted),
            *(
                t.rule(opened.chain, nft.meta(nft.L4PROTO), nft.equals(proto),
                       nft.destination(), nft.port(1), nft.among(named), granted)
                for proto in (_TCP, _UDP)
            ),
            t.rule(opened.chain, pool, then(goto("refuse"))),
            t.rule(opened.chain, nft.destination(), nft.among("machine"), then(goto("refuse"))),
        ]  # fmt: skip
        if reach.hosts:
            messages.append(t.added(named, [element(_service(*host)) for host in sorted(set(reach.hosts))]))
        messages.append(t.set(opened.nets, (nft.ADDRESS,), nft.INTERVAL))
        if reach.nets:
            messages.append(t.added(opened.nets, _intervals(reach.nets)))
        messages.append(t.rule(opened.chain, nft.destination(), nft.among(opened.nets), then(accept)))
        return [*messages, t.rule(opened.chain, then(goto("refuse")))]

    def _unlisting(self, chain: str) -> list[Message]:
        t = self._table
        address = chain.removeprefix(_PREFIX)
        return [*t.chain_removed(chain), t.set_removed(f"hosts-{address}"), t.set_removed(f"nets-{address}")]

    def _commit(self, *messages: Message) -> None:
        nft.commit(self._netlink, messages)


def _intervals(nets: Iterable[IPv4Network]) -> list[bytes]:
    """Elements for networks: where each begins, and where it is over."""
    found = []
    for net in collapse_addresses(nets):
        found.append(element(net.network_address.packed))
        if (after := int(net.broadcast_address) + 1) < 1 << 32:
            found.append(element(after.to_bytes(4, "big"), ends=True))
    return found
