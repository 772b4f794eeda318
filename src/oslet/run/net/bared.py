"""Bared: a cable whose end is a packet socket (packet(7)), for a guest whose network card speaks in Ethernet frames.

It needs no /dev/net/tun, which ordinary users rarely have. The guest has the address and the MAC that the end had.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from ipaddress import IPv4Address

from oslet.run.net import links
from oslet.run.net.namespace import sysctl
from oslet.run.net.netlink import ROUTE, Netlink

BITS = 16
_ETHTOOL = 0x8946
_TX_CHECKSUM, _SEGMENTATION, _SCATTER = 0x17, 0x1F, 0x19  # ETHTOOL_STXCSUM, STSO, SSG: linux/ethtool.h
_ALL = 3  # ETH_P_ALL
_RECEIVED = 4 << 20
"""Bytes of frames that may wait for a guest, which is slow without KVM."""


def mac(address: str) -> bytes:
    """The MAC of the cable's end that has an address: the switch has both for good."""
    return b"\2\1" + IPv4Address(address).packed


def whole(link: str) -> None:
    """Have what leaves by a link have its checksum and be no longer than a frame, as on a real wire. OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        for what in (_SEGMENTATION, _SCATTER, _TX_CHECKSUM):
            value = array.array("I", [what, 0])
            fcntl.ioctl(asking, _ETHTOOL, struct.pack("16sP8x", link.encode(), value.buffer_info()[0]))


def bare(index: int, address: IPv4Address) -> int:
    """Take the address from a link of the calling thread's network namespace; a packet socket's descriptor on it."""
    route = Netlink(ROUTE)
    try:
        route.ask([links.unaddress(index, address, BITS)])
    finally:
        route.close()
    sysctl("ipv4/ip_forward", "0")  # inherited from the machine, which may be a router
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as packets:
        packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED)
        packets.bind((socket.if_indextoname(index), _ALL))
        return packets.detach()
