"""Carrying: what is accepted on listening sockets is connected to this namespace's loopback; for ``forward.py`` alone.

It imports no more than it must: ``socket`` doubles the time and memory of a bare interpreter, so it is ``_socket``,
which that one is made of. Memory is bounded: one block waits a direction, and links are counted.
"""

from __future__ import annotations

import errno
import select
import sys
import time
from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    SHUT_WR,
    SO_ERROR,
    SO_KEEPALIVE,
    SO_LINGER,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    socket,
)
from resource import RLIMIT_NOFILE, getrlimit, setrlimit

LINKS = 2048
"""Connections at once; further ones wait in the kernel's backlog."""

BLOCK = 1 << 16
LAST_WORDS = 2.0
"""Seconds that what the application wrote before it ended may take to reach its clients."""

_PAUSE = 0.1
_AT_ONCE = 64
_LOOPBACKS = ((AF_INET, "127.0.0.1"), (AF_INET6, "::1"))
_RESET = (1).to_bytes(4, sys.byteorder) + bytes(4)  # struct linger, socket(7): close sends RST, not FIN
_NOTHING = memoryview(b"")
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_LATER = (errno.EAGAIN, errno.EINTR)


class Side:
    """One end of a link. It ``reads`` until its peer has said all, ``writes`` until it was told all; ``waiting`` is
    what it doesn't take yet, and until it does nothing is read from the other side: the writer feels the reader."""

    __slots__ = ("mask", "other", "port", "reads", "socket", "tries", "waiting", "writes")
    other: Side

    def __init__(self, end: socket, port: int, tries: int | None = None) -> None:
        self.socket = end
        self.port = port  # the application's; 0 on the client's side
        self.tries = tries  # which loopback address is being tried; None once connected
        self.reads = self.writes = True
        self.waiting = _NOTHING
        self.mask = 0


class Forwarder:
    """Every listening socket and link there is, and the one loop that serves them."""

    def __init__(self, doors: dict[int, tuple[socket, int]], life: int, most: int) -> None:
        self.doors = doors
        self.life = life
        self.most = most
        self.sides: dict[int, Side] = {}
        self.poll = select.epoll()
        self.buffer = memoryview(bytearray(BLOCK))
        self.accepting = False
        self.resume_at = 0.0
        self.poll.register(self.life, _IN)
        self.accept_more(True)

    def serve(self) -> None:
        """Until the instance ends; then what is on its way to clients, for no longer than LAST_WORDS."""
        while True:
            for descriptor, _ in self.poll.poll(None if self.accepting else _PAUSE):
                if descriptor == self.life:
                    self.finish()
                    return
                self.dispatch(descriptor)
            if not self.accepting and len(self.sides) < 2 * self.most and time.monotonic() >= self.resume_at:
                self.accept_more(True)

    def finish(self) -> None:
        self.poll.unregister(self.life)
        self.accept_more(False)
        for door, _ in self.doors.values():
            door.close()
        deadline = time.monotonic() + LAST_WORDS
        clients = [side for side in self.sides.values() if not side.port and side.other.tries is None]
        while (left := deadline - time.monotonic()) > 0:
            # The application is gone, so its side of each link ends as soon as it has been read to its end.
            if not any(side.writes for side in clients):
                return
            for descriptor, _ in self.poll.poll(left):
                self.dispatch(descriptor)

    def dispatch(self, descriptor: int) -> None:
        if descriptor in self.doors:
            self.accept(*self.doors[descriptor])
        elif (side := self.sides.get(descriptor)) and side.mask:  # else its number was another's a moment ago
            if side.tries is not None:
                self.connected(side)
            else:
                self.relay(side)

    def accept_more(self, wanted: bool) -> None:
        if wanted != self.accepting:
            self.accepting = wanted
            for descriptor in self.doors:
                self.poll.register(descriptor, _IN) if wanted else self.poll.unregister(descriptor)

    def accept(self, door: socket, port: int) -> None:
        for _ in range(_AT_ONCE):
            if len(self.sides) >= 2 * self.most:
                self.accept_more(False)
                return
            try:
                descriptor, _ = door._accept()  # type: ignore[attr-defined] # socket.socket.accept is made of it
            except OSError as error:
                if error.errno not in (*_LATER, errno.ECONNABORTED):
                    self.resume_at = time.monotonic() + _PAUSE  # no descriptors or memory now: not in a tight loop
                    self.accept_more(False)
                return
            client = Side(_prepared(socket(fileno=descriptor)), 0)
            client.socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
            self.connect(client, port, 0)

    def connect(self, client: Side, port: int, first: int) -> None:
        """Begin to connect a client; hang up on it when nobody listens at any of the loopback's addresses."""
        for number, (family, address) in enumerate(_LOOPBACKS[first:], first):
            try:
                end = _prepared(socket(family, SOCK_STREAM))
                failed = end.connect_ex((address, port))
            except OSError:
                break
            if failed in (0, errno.EINPROGRESS):
                server = Side(end, port, None if failed == 0 else number)
                server.other, client.other = client, server
                for side in (client, server):
                    self.sides[side.socket.fileno()] = side
                self.watch(client)
                return
            end.close()
        self.forget(client)

    def connected(self, server: Side) -> None:
        """The kernel has decided on a connection that was begun."""
        if failed := server.socket.getsockopt(SOL_SOCKET, SO_ERROR):
            self.forget(server)
            untried = (server.tries or 0) + 1 if failed == errno.ECONNREFUSED else len(_LOOPBACKS)
            self.connect(server.other, server.port, untried)
            return
        server.tries = None
        self.watch(server)

    def relay(self, side: Side) -> None:
        if side.waiting:
            self.write(side, side.waiting)
        if side.reads and not side.other.waiting:
            self.read(side)
        if side.writes or side.other.writes:
            self.watch(side)
        else:
            self.forget(side)
            self.forget(side.other)

    def read(self, side: Side) -> None:
        try:
            count = side.socket.recv_into(self.buffer)
        except OSError as error:
            if error.errno not in _LATER:
                self.reset(side)
            return
        if count:
            self.write(side.other, self.buffer[:count])
            return
        side.reads = False
        if not side.other.waiting:
            self.end(side.other)

    def write(self, side: Side, block: memoryview) -> None:
        try:
            sent = side.socket.send(block)
        except OSError as error:
            if error.errno not in _LATER:
                side.waiting = _NOTHING
                side.writes = side.other.reads = False  # nobody is there to read; what it says is still carried
                return
            sent = 0
        if sent < len(block):
            left = block[sent:]
            side.waiting = left if side.waiting else memoryview(bytes(left))  # a copy of the buffer all reads share
            return
        side.waiting = _NOTHING
        if not side.other.reads:
            self.end(side)

    def end(self, side: Side) -> None:
        """Pass the end of one direction on; the other goes on as it was."""
        side.writes = False
        try:
            side.socket.shutdown(SHUT_WR)
        except OSError:
            side.other.reads = False

    def reset(self, side: Side) -> None:
        """Pass a broken connection on as one, but after what it said before."""
        side.reads = side.writes = side.other.reads = False
        if not side.other.waiting:
            side.other.socket.setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
            side.other.writes = False

    def watch(self, side: Side) -> None:
        for one in (side, side.other):
            connecting = one.tries is not None
            ready = one.reads and not one.other.waiting and not connecting and one.other.tries is None
            mask = (_IN if ready else 0) | (_OUT if one.waiting or connecting else 0)
            if mask == one.mask:
                continue
            # epoll tells of a hang-up whatever is asked, so that one with nothing to do is taken out altogether.
            if not mask:
                self.poll.unregister(one.socket.fileno())
            elif one.mask:
                self.poll.modify(one.socket.fileno(), mask)
            else:
                self.poll.register(one.socket.fileno(), mask)
            one.mask = mask

    def forget(self, side: Side) -> None:
        self.sides.pop(side.socket.fileno(), None)
        side.socket.close()  # which also takes it out of the epoll: nobody else has this descriptor
        side.writes = False
        side.mask = 0


def _prepared(end: socket) -> socket:
    end.setblocking(False)
    end.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    return end


def carry(ports: dict[int, int], life: int) -> None:
    """Serve listening sockets until ``life`` ends: each descriptor with the loopback's port that it leads to."""
    _, hard = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (hard, hard))
    doors = {}
    for descriptor, port in ports.items():
        door = socket(fileno=descriptor)
        door.setblocking(False)
        doors[descriptor] = (door, port)
    Forwarder(doors, life, max(1, min(LINKS, (hard - 64) // 2 if hard > 0 else LINKS))).serve()
