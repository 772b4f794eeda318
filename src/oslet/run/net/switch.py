"""The switch: one network namespace a user, with a cable to each instance, their names, ports and way out.

It is held by descriptors that the keeper keeps, and the rest is in the kernel or in processes of its own, so that it
outlives the supervisor: a new one adopts it.

Addresses are routed one by one, without a bridge: what passes between two instances passes the switch's rules.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from threading import RLock

from oslet.errors import RunError
from oslet.run.net import bared, links, names
from oslet.run.net.allowing import Allowed, allowed
from oslet.run.net.graves import Graves
from oslet.run.net.namespace import Home, sysctl, sysctls
from oslet.run.net.netlink import NETFILTER, ROUTE, Message, Netlink
from oslet.run.net.plug import FIRST, PRIVATE, Plug
from oslet.run.net.pool import Pool, unused
from oslet.run.net.ports import Ports
from oslet.run.net.rules import Opened, Reach, Rules
from oslet.run.net.way import Way
from oslet.run.records import Published

_LONE, _NAMED = 1, 2
"""Groups of links: of private instances, and the first of a named network's."""

_GATEWAY_MAC = b"\2\0\0\0\0\1"
_ADDRESSES_CHANGE = 0x10
"""RTMGRP_IPV4_IFADDR, rtnetlink(7)."""

_PINS = 1024
"""Addresses of allowed names that one instance may have learned; the oldest make room."""

_SWITCH = {
    "ipv4/conf/all/rp_filter": "1",  # an instance can't speak under another's address
    "ipv4/conf/default/rp_filter": "1",
    "ipv4/conf/all/accept_redirects": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
}


class Member:
    """An open instance."""

    def __init__(self, plug: Plug, name: str, allow: Sequence[str] | None) -> None:
        self.plug = plug
        self.name = name.lower()
        self.allowed: Allowed | None = None if allow is None else allowed(allow)
        self.pins: dict[tuple[IPv4Address, int], None] = {}

    @property
    def reach(self) -> Reach:
        return self.allowed.reach if self.allowed else Reach()

    @property
    def opened(self) -> Opened:
        return Opened(self.plug.index, IPv4Address(self.plug.address), self.allowed is not None)


class Networks:
    """Every network of a user. Its methods are for any thread.

    ``keep`` and ``drop`` are the keeper's, ``kept`` is what it has; the names used here begin with ``network/``. A new
    supervisor calls ``adopt`` for each instance that runs, then ``settle``, then anything else. ``obstacle`` says why
    there is no way out.
    """

    def __init__(
        self,
        state: Path,
        keep: Callable[[str, int], None],
        drop: Callable[[str], None],
        kept: Mapping[str, int],
        slirp4netns: Path | None,
    ) -> None:
        self._keep, self._drop = keep, drop
        self._lock = RLock()
        self._members: dict[IPv4Address, Member] = {}
        self._spaces: dict[str, int] = {}
        self._groups: dict[str, int] = {PRIVATE: _LONE}
        self._own: frozenset[IPv4Address] = frozenset()
        self._home = Home(kept.get("network/switch"))
        try:
            self._begin(state, kept, slirp4netns)
        except OSError as error:
            self._home.close()
            raise RunError(
                f"the network of instances can't be made: {error.strerror}",
                hint="start with --network host (ports are then the application's own) or --network none",
            ) from None

    def _begin(self, state: Path, kept: Mapping[str, int], slirp4netns: Path | None) -> None:
        fresh = "network/switch" not in kept
        self._machine = Netlink(ROUTE)
        self._changes = Netlink(ROUTE, _ADDRESSES_CHANGE)
        self._route = self._home.call(lambda: Netlink(ROUTE))
        self._pool = self._prepared(state) if fresh else self._found()
        self._rules = Rules(self._home.call(lambda: Netlink(NETFILTER)), self._pool.network)
        if fresh:
            self._rules.lay(self._pool.gateway)
            self._keep("network/switch", self._home.fd)
        self._watch_addresses()
        self._way = Way(state, self._home, self._route, self._machine, self._rules, self._pool, slirp4netns)
        if not fresh:
            self._way.adopt(kept)
            self._way.lead(self._keep)
        self._ports = Ports(self._way, self._keep, self._drop, kept)
        self._graves = Graves(self._route, self._pool)
        self._responder = self._answer(kept)

    @property
    def obstacle(self) -> str:
        return self._way.obstacle

    def namespace(self, plug: Plug) -> int:
        """The descriptor of a plug's network namespace: this supervisor's, until ``close``."""
        return self._spaces[plug.id]

    def plug(self, network: str, name: str) -> Plug:
        """A place for an instance that is to come, whose id is ``name``: nothing gets in or out."""
        with self._lock:
            self._way.lead(self._keep)
            group = self._group(network)
            address, gateway = self._pool.take(), self._pool.gateway
        plug = Plug(name, network, group, str(address), str(gateway), self._resolv(network))
        try:
            self._spaces[name] = self._home.beyond(lambda fd: self._wire(plug, fd))
        except OSError as error:
            self._pool.give(address)
            raise RunError(f"the instance's network can't be made: {error.strerror}") from None
        return plug

    def bare(self, plug: Plug) -> int:
        """Leave a plug's cable to somebody who speaks in frames, as a guest's network card does: a descriptor of the
        packet socket at its end. The namespace itself has no address any more."""
        near = f"v{plug.index - FIRST:04x}"
        try:
            self._home.call(lambda: bared.whole(near))
            return self._home.within(self._spaces[plug.id], lambda: bared.bare(plug.index, IPv4Address(plug.address)))
        except OSError as error:
            raise RunError(f"the guest's network can't be made: {error.strerror}") from None

    def open(self, plug: Plug, name: str, published: Sequence[Published], allow: Sequence[str] | None) -> None:
        """Let a plugged instance be what it is: its name known, its ports answering, its way out as allowed."""
        member = Member(plug, name, allow)
        with self._lock:
            self._ports.open(plug.id, IPv4Address(plug.address), published, self._holder)
            try:
                self._rules.open(member.opened, member.reach)
            except OSError as error:
                self._ports.close(plug.id)
                raise RunError(f"the instance's network can't be opened: {error.strerror}") from None
            self._members[IPv4Address(plug.address)] = member

    def close(self, plug: Plug) -> None:
        """Take it all away; what an ended instance said before may take a second to arrive, then its cable is gone."""
        with self._lock:
            member = self._members.pop(IPv4Address(plug.address), None)
            self._ports.close(plug.id)
            if member:
                with suppress(OSError):
                    self._rules.close(member.opened)
            self._graves.dig(plug.index, IPv4Address(plug.address), self._spaces.pop(plug.id, -1), late=bool(member))

    def adopt(self, plug: Plug, name: str, published: Sequence[Published], allow: Sequence[str] | None) -> None:
        """Know an instance that an earlier supervisor opened."""
        member = Member(plug, name, allow)
        with self._lock:
            self._groups[plug.network] = plug.group
            self._members[IPv4Address(plug.address)] = member
            self._ports.adopt(plug.id, IPv4Address(plug.address), published)

    def settle(self, plugs: Sequence[Plug] = ()) -> None:
        """All that runs is adopted: end what an earlier supervisor left beside it, but for parked ``plugs``."""
        with self._lock:
            for plug in plugs:
                self._groups[plug.network] = plug.group
            self._rules.only({m.opened: m.reach for m in self._members.values()})
            self._ports.settle()
            stay = {m.plug.index for m in self._members.values()} | {plug.index for plug in plugs}
            for link in tuple(self._home_links()):
                if link.number not in stay:
                    self._graves.dig(link.number, self._pool.network.network_address + link.number - FIRST, -1)

    def socket(self, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket that reaches every open instance at its address, whatever it publishes."""
        return self._home.call(lambda: socket.socket(socket.AF_INET, kind))

    def tend(self) -> None:
        """See to it that the processes which carry the network are there; to be called now and then."""
        with self._lock:
            if self._way.tend(self._keep):
                self._ports.settle()
            self._ports.tend()

    def leave(self) -> None:
        """This supervisor ends; everything stays as it is, for the next."""
        self._responder.close()
        self._graves.close()
        with self._lock:
            for fd in self._spaces.values():
                os.close(fd)
            self._spaces.clear()
            self._ports.leave()
            self._way.leave()
            for netlink in (self._route, self._machine, self._changes):
                netlink.close()
            self._rules.leave()
            self._home.close()

    def shut(self) -> None:
        """Nothing is needed any more, and nothing stays behind."""
        with self._lock:
            self._ports.shut()
            self._way.shut(self._drop)
            for name in ("dns-datagrams", "dns-connections", "switch"):
                self._drop(f"network/{name}")
        self.leave()

    # What ``names.Responder`` asks.

    def peers(self, asker: IPv4Address, name: str) -> Sequence[IPv4Address] | None:
        with self._lock:
            member = self._members.get(asker)
            if member is None:
                return ()
            network = member.plug.network
            if network == PRIVATE:
                return None
            short = name.removesuffix(f".{network.lower()}")
            if "." in short and short == name:
                return None
            found = [a for a, m in self._members.items() if (m.plug.network, m.name) == (network, short)]
            self._pin(member, short, found)
            return found

    def passes(self, asker: IPv4Address, name: str) -> bool:
        member = self._members.get(asker)
        if member is None or self._way.obstacle:
            return False
        return member.allowed is None or name in member.allowed.names

    def learned(self, asker: IPv4Address, name: str, found: Sequence[IPv4Address]) -> None:
        """A name of the outer world never opens the way to what isn't of it."""
        outer = [a for a in found if not (a in self._pool.network or a in self._own or _special(a))]
        with self._lock:
            if member := self._members.get(asker):
                self._pin(member, name, outer)

    def _holder(self, port: Published) -> str:
        """The name of the instance that has a port of this machine, or nothing."""
        owner = self._ports.holder(port)
        return next((m.name for m in self._members.values() if m.plug.id == owner), "")

    def _pin(self, member: Member, name: str, found: Sequence[IPv4Address]) -> None:
        if member.allowed is None:
            return
        pairs = [(a, port) for a in found[:_PINS] for port in member.allowed.names.get(name, ())]
        fresh = [pair for pair in pairs if pair not in member.pins]
        with suppress(OSError):  # then it isn't reached, which is the safe side
            if fresh:
                self._rules.allow(member.opened, fresh)
            member.pins.update(dict.fromkeys(fresh))
            if old := [*member.pins][: max(0, len(member.pins) - _PINS)]:
                self._rules.forbid(member.opened, old)
                for pair in old:
                    del member.pins[pair]

    # How it is made.

    def _prepared(self, state: Path) -> Pool:
        taken = [*links.routes(self._machine), *(own.network for own in links.addresses(self._machine))]
        for resolver in names.configuration()[0]:
            with suppress(ValueError):
                taken.append(IPv4Network(resolver))
        pool = Pool(unused(taken, sum(os.fsencode(state)) + os.geteuid()), ())
        self._home.call(lambda: sysctl("ipv4/ip_forward", "1"))
        self._home.call(lambda: sysctls(_SWITCH))
        self._route.ask([links.up(links.LOOPBACK), links.address(links.LOOPBACK, pool.gateway, 32)])
        return pool

    def _found(self) -> Pool:
        """The pool of a switch that is there: its gateway is the loopback's second address."""
        own = [own.address for own in links.addresses(self._route) if not own.address.is_loopback]
        gateway = next(address for address in own if int(address) & 0xFFFF == 1)
        base = IPv4Network((int(gateway) - 1, 16))
        return Pool(base, [base.network_address + link.number - FIRST for link in self._home_links()])

    def _home_links(self) -> list[links.Link]:
        return [link for link in links.links(self._route) if FIRST < link.number < 2 * FIRST]

    def _answer(self, kept: Mapping[str, int]) -> names.Responder:
        def opened(place: str, kind: int) -> int:
            if (fd := kept.get(place)) is None:
                fd = self._home.call(lambda: names.door(self._pool.gateway, kind))
                self._keep(place, fd)
            return fd

        doors = (
            opened("network/dns-datagrams", socket.SOCK_DGRAM),
            opened("network/dns-connections", socket.SOCK_STREAM),
        )
        return names.Responder(doors, self, {self._changes.socket.fileno(): self._watch_addresses})

    def _watch_addresses(self) -> None:
        """The machine's addresses are what they are now."""
        self._changes.drain()
        self._own = frozenset(own.address for own in links.addresses(self._machine))
        self._rules.machine(self._own)

    def _group(self, network: str) -> int:
        if network not in self._groups:
            group = max(self._groups.values(), default=_LONE) + 1
            self._rules.join(max(group, _NAMED))
            self._groups[network] = max(group, _NAMED)
        return self._groups[network]

    def _resolv(self, network: str) -> str:
        search = names.configuration()[1]
        lines = [f"nameserver {self._pool.gateway}", *([search] if search else [])]
        # A peer's name has no dot; it is asked for as it is first.
        return "\n".join([*lines, *(["options ndots:0"] if network != PRIVATE else []), ""])

    def _wire(self, plug: Plug, fd: int) -> int:
        """Lay the cable; called in the instance's network namespace."""
        address, gateway, index = IPv4Address(plug.address), self._pool.gateway, plug.index
        mac = bared.mac(plug.address)
        _liberties()
        near = links.End(index, f"v{index - FIRST:04x}", _GATEWAY_MAC, plug.group)
        self._route.ask([
            links.cable(near, links.End(index, "eth0", mac), fd),
            links.route(IPv4Network(address), index),
            links.neighbour(index, address, mac),
        ])  # fmt: skip
        own = Netlink(ROUTE)
        try:
            own.ask(_inside(index, address, gateway))
        finally:
            own.close()
        links.await_up(self._route, index)
        return fd


def _liberties() -> None:
    """In an instance's network every port may be served by anyone, and whoever likes may ping.

    The folder is looked up once: that takes the longer the more networks there are (fs/proc/proc_sysctl.c).
    """
    folder = os.open("/proc/sys/net/ipv4", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            sysctl("ip_unprivileged_port_start", "0", folder)
        for last in (0x7FFFFFFF, 0xFFFF, 0):  # as many groups as there are in this user namespace
            with suppress(OSError):
                sysctl("ping_group_range", f"0 {last}", folder)
                break
    finally:
        os.close(folder)


def _inside(index: int, address: IPv4Address, gateway: IPv4Address) -> list[Message]:
    """An instance's own side. Everything goes by way of the switch, whatever the width of its network."""
    return [
        links.up(links.LOOPBACK),
        links.without_six(index),  # nobody would route it; ::1 stays
        links.up(index),
        links.address(index, address, 16, routed=False),
        links.route(IPv4Network(gateway), index),
        links.neighbour(index, gateway, _GATEWAY_MAC),
        links.route(IPv4Network("0.0.0.0/0"), index, gateway),
    ]


def _special(address: IPv4Address) -> bool:
    return address.is_loopback or address.is_multicast or address.is_unspecified or address.is_link_local
