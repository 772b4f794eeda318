"""The switch's rules: who may say what to whom. What isn't allowed here is dropped, so a parked slot is deaf and mute.

An instance is open once its address is in the set ``open``, and in ``free`` or the map ``listed``, which has a chain
for each: not one map for both, since the kernel follows every jump in a map again whenever one is added. Which network
a cable belongs to is its link's group; groups in ``same`` let their members talk to each other.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
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
    def key(self) -> bytes:
        return _native(self.number) + self.address.packed

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
            t.set("free", (nft.INDEX, nft.ADDRESS)),
            t.set("listed", (nft.INDEX, nft.ADDRESS), data=()),
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
            t.rule("forward", nft.meta(nft.IIF), nft.source(1), nft.among("free"), then(goto("anywhere"))),
            t.rule("forward", nft.meta(nft.IIF), nft.source(1), nft.mapped("listed")),
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
            t.taken("listed" if opened.listed else "free", [element(opened.key)]),
            t.taken("open", [element(opened.address.packed)]),
        ]
        self._commit(*gone, *(self._unlisting(opened.chain) if opened.listed else ()))

    def allow(self, opened: Opened, hosts: Sequence[tuple[IPv4Address, int]]) -> None:
        """Add addresses to what a listed one may reach."""
        self._commit(self._table.added(opened.hosts, [element(_service(*host)) for host in hosts]))

    def forbid(self, opened: Opened, hosts: Sequence[tuple[IPv4Address, int]]) -> None:
        self._commit(self._table.taken(opened.hosts, [element(_service(*host)) for host in hosts]))

    def only(self, reaches: Mapping[Opened, Reach]) -> None:
        """Close all but these, whatever there was. A list that is there already stays as it has become."""
        t = self._table
        there = {c for c in t.chains(self._netlink) if c.startswith(_PREFIX)}
        missing = [o for o in reaches if o.listed and o.chain not in there]
        made = [message for o in missing for message in self._listing(o, reaches[o])]
        stale = there - {o.chain for o in reaches if o.listed}
        gone = [message for chain in sorted(stale) for message in self._unlisting(chain)]
        emptied = map(t.emptied, ("free", "listed", "open"))
        self._commit(*emptied, *made, *self._entered(tuple(reaches)), *gone)

    def leave(self) -> None:
        self._netlink.close()

    def _entered(self, opened: Sequence[Opened]) -> list[Message]:
        t = self._table
        free = [element(o.key) for o in opened if not o.listed]
        listed = [element(o.key, goto(o.chain)) for o in opened if o.listed]
        entries = [t.added(name, elements) for name, elements in (("free", free), ("listed", listed)) if elements]
        return [*entries, *([t.added("open", [element(o.address.packed) for o in opened])] if opened else [])]

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
