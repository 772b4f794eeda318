"""Carrying datagrams: each client of a port has a socket of its own toward the instance. For ``forward.py`` alone."""

from __future__ import annotations

import errno
import select
import time
from _socket import AF_INET, IPPROTO_IP, SOCK_DGRAM, socket
from collections.abc import Callable
from typing import Any

FLOWS = 1024
"""Clients at once; the one that was silent for longest makes room."""

SILENCE = 60.0
"""Seconds after which a client is forgotten."""

_LONGEST = 1 << 16
_AT_ONCE = 64
_PACKET_INFO = 8
"""IP_PKTINFO, ip(7): which of the machine's addresses a datagram came to, so that the answer leaves from that one."""


class Flow:
    """One client of one port: its own socket, and how to answer."""

    __slots__ = ("back", "client", "door", "heard", "own", "socket")

    def __init__(self, door: Door, client: Any, back: list[Any], own: socket) -> None:
        self.door, self.client, self.back, self.socket = door, client, back, own
        self.own = own.fileno()
        self.heard = time.monotonic()


class Door:
    """A bound socket of the machine, and the instance's port that it leads to."""

    __slots__ = ("flows", "key", "socket", "target")

    def __init__(self, key: int, bound: socket, target: tuple[str, int]) -> None:
        self.key, self.socket, self.target = key, bound, target
        self.flows: dict[Any, Flow] = {}


class Flows:
    """Every bound socket and flow there is; ``poll`` as for ``carry.Links``."""

    def __init__(self, poll: select.epoll) -> None:
        self.poll = poll
        self.doors: dict[int, Door] = {}
        self.flows: dict[int, Flow] = {}

    def open(self, key: int, bound: socket, target: tuple[str, int]) -> None:
        bound.setblocking(False)
        if bound.family == AF_INET:
            bound.setsockopt(IPPROTO_IP, _PACKET_INFO, 1)
        self.doors[bound.fileno()] = Door(key, bound, target)
        self.poll.register(bound.fileno(), select.EPOLLIN)

    def close(self, gone: Callable[[int], bool]) -> None:
        for descriptor, door in list(self.doors.items()):
            if gone(door.key):
                for flow in list(door.flows.values()):
                    self.forget(flow)
                del self.doors[descriptor]
                door.socket.close()

    def tend(self) -> None:
        silent = time.monotonic() - SILENCE
        for flow in [f for f in self.flows.values() if f.heard < silent]:
            self.forget(flow)

    def ready(self, descriptor: int) -> None:
        for _ in range(_AT_ONCE):
            try:
                if door := self.doors.get(descriptor):
                    self.inwards(door)
                elif flow := self.flows.get(descriptor):
                    flow.heard = time.monotonic()
                    said = flow.socket.recv(_LONGEST)
                    flow.door.socket.sendmsg([said], flow.back, 0, flow.client)
                else:
                    return
            except OSError as error:
                # Nobody listens there, or not now: a datagram may always be lost.
                if error.errno in (errno.EAGAIN, errno.EINTR):
                    return

    def inwards(self, door: Door) -> None:
        said, about, _, client = door.socket.recvmsg(_LONGEST, 64)
        flow = door.flows.get(client)
        if flow is None:
            if len(self.flows) >= FLOWS:
                self.forget(min(self.flows.values(), key=lambda f: f.heard))
            own = socket(AF_INET, SOCK_DGRAM)
            own.setblocking(False)
            own.connect(door.target)
            # struct in_pktinfo: the interface (left open), the address to answer from, the one asked for.
            back = [(IPPROTO_IP, _PACKET_INFO, bytes(4) + info[8:12] + bytes(4)) for _, _, info in about]
            flow = door.flows[client] = self.flows[own.fileno()] = Flow(door, client, back, own)
            self.poll.register(flow.own, select.EPOLLIN)
        flow.heard = time.monotonic()
        flow.socket.send(said)

    def forget(self, flow: Flow) -> None:
        self.flows.pop(flow.own, None)
        flow.door.flows.pop(flow.client, None)
        flow.socket.close()
