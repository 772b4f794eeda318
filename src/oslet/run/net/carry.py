"""Carrying: what is accepted on listening sockets is connected to an instance's address; for ``forward.py`` alone.

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
from collections.abc import Callable
from resource import RLIMIT_NOFILE, getrlimit, setrlimit

LINKS = 2048
"""Connections at once; further ones wait in the kernel's backlog."""

BLOCK = 1 << 16
LAST_WORDS = 2.0
"""Seconds that what the application wrote before it ended may take to reach its clients."""

_PAUSE = 0.1
_AT_ONCE = 64
_RESET = (1).to_bytes(4, sys.byteorder) + bytes(4)  # struct linger, socket(7): close sends RST, not FIN
_NOTHING = memoryview(b"")
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_LATER = (errno.EAGAIN, errno.EINTR)


class Side:
    """One end of a link. It ``reads`` until its peer has said all, ``writes`` until it was told all; ``waiting`` is
    what it doesn't take yet, and until it does nothing is read from the other side: the writer feels the reader."""

    __slots__ = ("connecting", "door", "mask", "other", "reads", "socket", "waiting", "writes")
    other: Side

    def __init__(self, end: socket, door: Door, connecting: bool = False) -> None:
        self.socket = end
        self.door = door
        self.connecting = connecting
        self.reads = self.writes = True
        self.waiting = _NOTHING
        self.mask = 0


class Door:
    """A listening socket of the machine, and the instance's port that it leads to. ``key`` names it."""

    __slots__ = ("key", "socket", "target")

    def __init__(self, key: int, listening: socket, target: tuple[str, int]) -> None:
        self.key, self.socket, self.target = key, listening, target


class Links:
    """Every listening socket and link there is. ``poll`` tells of descriptors, which go to ``ready``."""

    def __init__(self, poll: select.epoll, most: int) -> None:
        self.doors: dict[int, Door] = {}
        self.most = most
        self.sides: dict[int, Side] = {}
        self.poll = poll
        self.buffer = memoryview(bytearray(BLOCK))
        self.accepting = True
        self.resume_at = 0.0
        self.ending: list[tuple[float, Door]] = []

    def open(self, key: int, listening: socket, target: tuple[str, int]) -> None:
        listening.setblocking(False)
        self.doors[listening.fileno()] = Door(key, listening, target)
        if self.accepting:
            self.poll.register(listening.fileno(), _IN)

    def close(self, gone: Callable[[int], bool]) -> None:
        """Accept no more for the doors whose key is ``gone``; what the dead said may take LAST_WORDS to arrive."""
        for descriptor, door in list(self.doors.items()):
            if gone(door.key):
                del self.doors[descriptor]
                door.socket.close()
                self.ending.append((time.monotonic() + LAST_WORDS, door))

    def wait(self) -> float | None:
        """How long nothing has to be done but what ``poll`` tells; in seconds."""
        return None if self.accepting and not self.ending else _PAUSE

    def tend(self) -> None:
        """What time alone brings about."""
        now = time.monotonic()
        if not self.accepting and len(self.sides) < 2 * self.most and now >= self.resume_at:
            self.accept_more(True)
        while self.ending and self.ending[0][0] <= now:
            _, door = self.ending.pop(0)
            for side in [s for s in self.sides.values() if s.door is door]:
                self.forget(side)

    def ready(self, descriptor: int) -> None:
        if door := self.doors.get(descriptor):
            self.accept(door)
        elif (side := self.sides.get(descriptor)) and side.mask:  # else its number was another's a moment ago
            if side.connecting:
                self.connected(side)
            else:
                self.relay(side)

    def accept_more(self, wanted: bool) -> None:
        if wanted != self.accepting:
            self.accepting = wanted
            for descriptor in self.doors:
                self.poll.register(descriptor, _IN) if wanted else self.poll.unregister(descriptor)

    def accept(self, door: Door) -> None:
        for _ in range(_AT_ONCE):
            if len(self.sides) >= 2 * self.most:
                self.accept_more(False)
                return
            try:
                descriptor, _ = door.socket._accept()  # type: ignore[attr-defined] # socket.socket.accept is made of it
            except OSError as error:
                if error.errno not in (*_LATER, errno.ECONNABORTED):
                    self.resume_at = time.monotonic() + _PAUSE  # no descriptors or memory now: not in a tight loop
                    self.accept_more(False)
                return
            client = Side(_prepared(socket(fileno=descriptor)), door)
            client.socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
            self.connect(client)

    def connect(self, client: Side) -> None:
        """Begin to connect a client; hang up on it when nobody listens."""
        try:
            end = _prepared(socket(AF_INET, SOCK_STREAM))
            failed = end.connect_ex(client.door.target)
        except OSError:
            self.forget(client)
            return
        if failed not in (0, errno.EINPROGRESS):
            end.close()
            self.forget(client)
            return
        server = Side(end, client.door, bool(failed))
        server.other, client.other = client, server
        for side in (client, server):
            self.sides[side.socket.fileno()] = side
        self.watch(client)

    def connected(self, server: Side) -> None:
        """The kernel has decided on a connection that was begun."""
        if server.socket.getsockopt(SOL_SOCKET, SO_ERROR):
            client = server.other
            self.forget(server)
            self.forget(client)
            return
        server.connecting = False
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
            ready = one.reads and not one.other.waiting and not one.connecting and not one.other.connecting
            mask = (_IN if ready else 0) | (_OUT if one.waiting or one.connecting else 0)
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


def most() -> int:
    """As many descriptors as there may be; how many links fit into them."""
    _, hard = getrlimit(RLIMIT_NOFILE)
    setrlimit(RLIMIT_NOFILE, (hard, hard))
    return max(1, min(LINKS, hard // 4 if hard > 0 else LINKS))
