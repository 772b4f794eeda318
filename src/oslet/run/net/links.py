"""Links, addresses and routes of a network namespace, as rtnetlink(7) has them. IPv4 alone."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from oslet.run.net.netlink import CREATE, EXCL, Message, Netlink, attr, attributes, nest, text, u32

_NEW_LINK, _DEL_LINK, _GET_LINK, _NEW_ADDRESS, _DEL_ADDRESS, _GET_ADDRESS = 16, 17, 18, 20, 21, 22
_NEW_ROUTE, _GET_ROUTE, _NEW_NEIGHBOUR = 24, 26, 28
_UP = 1
_MAC, _NAME, _MTU, _GROUP, _INFO, _FD = 1, 3, 4, 27, 18, 28
_PERMANENT = 0x80
_NO_PREFIX_ROUTE = 0x200
_LINK_SCOPE = 253
_DOOMED = 0x7FFFFFFF
_STATE, _AF_SPEC = 16, 26
_PATIENCE, _PAUSE = 2.0, 0.0002
LOOPBACK = 1
"""The index of ``lo`` in every namespace."""


class Link(NamedTuple):
    number: int
    name: str
    group: int


class End(NamedTuple):
    """One end of a cable to be made."""

    number: int
    name: str
    mac: bytes
    group: int = 0


def _link(kind: int, index: int, flags: int, *body: bytes, made: int = 0) -> Message:
    return Message(kind, made, struct.pack("=BxHiII", 0, 0, index, flags, flags and _UP) + b"".join(body))


def cable(near: End, far: End, namespace: int) -> Message:
    """A pair of veths, one of them in another namespace. That one can be brought up only from inside: with the flag
    here, the kernel says ENOTCONN."""
    peer = struct.pack("=BxHiII", 0, 0, far.number, 0, 0) + text(_NAME, far.name) + attr(_MAC, far.mac)
    inner = nest(2, attr(1, peer + u32(_FD, namespace)))
    return _link(
        _NEW_LINK, near.number, _UP,
        text(_NAME, near.name), attr(_MAC, near.mac), u32(_GROUP, near.group), nest(_INFO, text(1, "veth"), inner),
        made=CREATE | EXCL,
    )  # fmt: skip


def up(index: int) -> Message:
    return _link(_NEW_LINK, index, _UP)


def unchanged(index: int) -> Message:
    """What changes nothing, but only root of the network may ask for it."""
    return _link(_NEW_LINK, index, 0)


def without_six(index: int) -> Message:
    """Have a link that isn't up yet give itself no IPv6 address: IFLA_INET6_ADDR_GEN_MODE, none."""
    return _link(_NEW_LINK, index, 0, nest(_AF_SPEC, nest(socket.AF_INET6, attr(8, b"\1"))))


def removed(index: int) -> Message:
    return _link(_DEL_LINK, index, 0)


def all_removed(indexes: Iterable[int]) -> list[Message]:
    """Remove many at once: they are made one group, since each alone takes as long as all of them."""
    grouped = [_link(_NEW_LINK, index, 0, u32(_GROUP, _DOOMED)) for index in indexes]
    return [*grouped, _link(_DEL_LINK, 0, 0, u32(_GROUP, _DOOMED))]


def address(index: int, own: IPv4Address, bits: int, *, routed: bool = True) -> Message:
    """Give a link an address. Without ``routed`` the network's other addresses aren't taken to be on it."""
    flags = b"" if routed else u32(8, _NO_PREFIX_ROUTE)
    scope = _LINK_SCOPE + 1 if index == LOOPBACK and own.is_loopback else 0
    body = struct.pack("=BBBBI", socket.AF_INET, bits, 0, scope, index)
    return Message(_NEW_ADDRESS, CREATE, body + attr(2, own.packed) + attr(1, own.packed) + flags)


def unaddress(index: int, own: IPv4Address, bits: int) -> Message:
    """Take an address from a link."""
    body = struct.pack("=BBBBI", socket.AF_INET, bits, 0, 0, index)
    return Message(_DEL_ADDRESS, 0, body + attr(2, own.packed))


def route(to: IPv4Network, index: int, by: IPv4Address | None = None) -> Message:
    scope = 0 if by else _LINK_SCOPE
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, to.prefixlen, 0, 0, 254, 4, scope, 1, 0)
    parts = [attr(1, to.network_address.packed)] if to.prefixlen else []
    parts += [u32(4, index), *([attr(5, by.packed)] if by else [])]
    return Message(_NEW_ROUTE, CREATE, body + b"".join(parts))


def neighbour(index: int, its: IPv4Address, mac: bytes) -> Message:
    """Where an address is, for good: nobody is asked and nobody can say otherwise."""
    body = struct.pack("=BxHiHBB", socket.AF_INET, 0, index, _PERMANENT, 0, 0)
    return Message(_NEW_NEIGHBOUR, CREATE, body + attr(1, its.packed) + attr(2, mac))


def links(netlink: Netlink) -> Iterator[Link]:
    for told in netlink.dump(_link(_GET_LINK, 0, 0)):
        about = attributes(told[16:])
        group = int.from_bytes(about.get(_GROUP, b""), sys.byteorder)
        yield Link(struct.unpack_from("=i", told, 4)[0], about[_NAME].rstrip(b"\0").decode(), group)


def await_up(netlink: Netlink, index: int) -> None:
    """Wait until a cable's first end works: the kernel sees to it later (net/core/link_watch.c), and drops what is
    sent before. It is a matter of a millisecond, but for a machine that takes down many networks just then."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if attributes(netlink.one(_link(_GET_LINK, index, 0))[16:])[_STATE] == b"\6":  # IF_OPER_UP
            return
        time.sleep(_PAUSE)


class Own(NamedTuple):
    """An address that a namespace has, with its network."""

    address: IPv4Address
    network: IPv4Network


def addresses(netlink: Netlink) -> Iterator[Own]:
    for told in netlink.dump(Message(_GET_ADDRESS, 0, struct.pack("=BBBBI", socket.AF_INET, 0, 0, 0, 0))):
        about = attributes(told[8:])
        if packed := about.get(2) or about.get(1):
            own = IPv4Address(packed)
            yield Own(own, IPv4Network((own, told[1]), strict=False))


def routes(netlink: Netlink) -> Iterator[IPv4Network]:
    """Where all routes of all tables lead, but the default one."""
    for told in netlink.dump(Message(_GET_ROUTE, 0, struct.pack("=BBBBBBBBI", socket.AF_INET, *[0] * 8))):
        about = attributes(told[12:])
        if told[1] and 1 in about:
            yield IPv4Network((about[1], told[1]), strict=False)
