"""Names: answers what instances ask at the gateway. Their peers it knows; the rest it asks the machine's resolvers.

One thread serves datagrams. A connection (for answers that are too long) has one of few threads to itself, briefly.
"""

from __future__ import annotations

import os
import secrets
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread
from typing import NamedTuple, Protocol

from oslet.run.net import dns

_PORT = 53
_WAITING, _EACH = 512, 64
"""Questions passed on at once: of all, and of one instance."""
_PATIENCE = 2.0
"""Seconds that a resolver may take, before the next is asked."""
_TCP = 4
_SLOW = 5.0
_RESOLVERS = 3
"""As many as resolv.conf(5) allows."""

_CONFIGURATION = Path("/etc/resolv.conf")


class Directory(Protocol):
    """What the responder asks its owner. Addresses are those of instances."""

    def peers(self, asker: IPv4Address, name: str) -> Sequence[IPv4Address] | None:
        """The addresses of a name in the asker's network; None when it isn't a name of that one's."""

    def passes(self, asker: IPv4Address, name: str) -> bool:
        """Whether the asker may have a name of the outer world."""

    def learned(self, asker: IPv4Address, name: str, found: Sequence[IPv4Address]) -> None:
        """The outer world's answer, before the asker has it."""


class Passed(NamedTuple):
    """A question that a resolver was asked: by whom, and until when; what resolvers are left."""

    asker: tuple[str, int]
    asked: dns.Query
    message: bytes
    number: int
    until: float
    left: tuple[str, ...]


def configuration() -> tuple[tuple[str, ...], str]:
    """The machine's resolvers, IPv4 and IPv6, and its line of domains to search."""
    resolvers: list[str] = []
    search = ""
    try:
        lines = _CONFIGURATION.read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    for words in map(str.split, lines):
        if words[:1] == ["nameserver"] and len(words) > 1:
            resolvers.append(words[1])
        elif words[:1] in (["search"], ["domain"]):
            search = " ".join(["search", *words[1:]])
    return tuple(resolvers[:_RESOLVERS]), search


def door(gateway: IPv4Address, kind: int) -> int:
    """A socket for datagrams or connections at the gateway, of the calling thread's network namespace."""
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((str(gateway), _PORT))
    return made.detach()


class Responder:
    """Serves two sockets from ``door`` until ``close``; ``also`` are other descriptors to watch, with their calls."""

    def __init__(self, opened: tuple[int, int], directory: Directory, also: dict[int, Callable[[], None]]) -> None:
        self._directory = directory
        self._datagrams, self._connections = (socket.socket(fileno=os.dup(fd)) for fd in opened)
        self._connections.listen(16)
        for door in (self._datagrams, self._connections):
            door.setblocking(False)
        self._passed: dict[socket.socket, Passed] = {}
        self._wake, self._woken = os.pipe()
        self._also: dict[int, Callable[[], None]] = {**also, self._wake: lambda: None}
        self._ended = False
        self._pool = ThreadPoolExecutor(_TCP, "names")
        self._busy = 0
        self._selector = selectors.EpollSelector()
        for what in (self._datagrams.fileno(), self._connections.fileno(), *self._also):
            self._selector.register(what, selectors.EVENT_READ)
        self._thread = Thread(target=self._serve, name="names", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended = True
        os.write(self._woken, b"1")
        self._thread.join()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for end in (self._datagrams, self._connections, *self._passed):
            end.close()
        self._selector.close()
        os.close(self._wake)
        os.close(self._woken)

    def _serve(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select(_PATIENCE / 4 if self._passed else None):
                with suppress(OSError):  # one question is lost, and asked again
                    self._ready(key)
            now = time.monotonic()
            for late, passed in [p for p in self._passed.items() if p[1].until < now]:
                self._forget(late)
                self._pass(passed)

    def _ready(self, key: selectors.SelectorKey) -> None:
        if key.fd == self._datagrams.fileno():
            self._datagram()
        elif key.fd == self._connections.fileno():
            self._connection()
        elif isinstance(key.fileobj, socket.socket):
            self._answered(key.fileobj)
        else:
            self._also[key.fd]()

    def _datagram(self) -> None:
        try:
            message, asker = self._datagrams.recvfrom(dns.LONGEST)
        except OSError:
            return
        asked = dns.query(message)
        if asked is None:
            return
        told = self._known(asker[0], asked)
        if told is not None:
            self._tell(asker, told)
        elif len(self._passed) >= _WAITING or sum(p.asker[0] == asker[0] for p in self._passed.values()) >= _EACH:
            self._tell(asker, dns.answer(asked, dns.SERVER_FAILURE))
        else:
            self._pass(Passed(asker, asked, message, 0, 0.0, configuration()[0]))

    def _known(self, asker: str, asked: dns.Query) -> bytes | None:
        """The answer to what needs no resolver."""
        address = IPv4Address(asker)
        found = self._directory.peers(address, asked.name)
        if found is not None:
            return dns.answer(asked, dns.NO_ERROR if found else dns.NO_NAME, found if asked.kind == dns.A else ())
        if not self._directory.passes(address, asked.name):
            return dns.answer(asked, dns.NO_NAME)
        return None

    def _pass(self, passed: Passed) -> None:
        """Ask the first resolver that is left; a new socket and number each time, so that nobody can guess them."""
        for place, resolver in enumerate(passed.left):
            number = secrets.randbelow(1 << 16)
            family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
            end = socket.socket(family, socket.SOCK_DGRAM)
            try:
                end.setblocking(False)
                end.connect((resolver, _PORT))
                end.send(dns.renumbered(passed.message, number))
            except OSError:
                end.close()
                continue
            until = time.monotonic() + _PATIENCE
            self._passed[end] = passed._replace(number=number, until=until, left=passed.left[place + 1 :])
            self._selector.register(end, selectors.EVENT_READ)
            return
        self._tell(passed.asker, dns.answer(passed.asked, dns.SERVER_FAILURE))

    def _answered(self, end: socket.socket) -> None:
        passed = self._passed[end]
        try:
            message = end.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:  # nobody resolves there
            self._forget(end)
            self._pass(passed)
            return
        if dns.answers(message, passed.asked, passed.number):
            self._forget(end)
            self._learn(passed.asker[0], passed.asked, message)
            self._tell(passed.asker, dns.renumbered(message, passed.asked.number))

    def _learn(self, asker: str, asked: dns.Query, message: bytes) -> None:
        if asked.kind == dns.A:
            self._directory.learned(IPv4Address(asker), asked.name, tuple(dns.addresses(message)))

    def _forget(self, end: socket.socket) -> None:
        del self._passed[end]
        self._selector.unregister(end)
        end.close()

    def _tell(self, asker: tuple[str, int], message: bytes) -> None:
        with suppress(OSError):
            self._datagrams.sendto(message, asker)

    def _connection(self) -> None:
        try:
            end, asker = self._connections.accept()
        except OSError:
            return
        if self._busy >= 4 * _TCP:
            end.close()
            return
        self._busy += 1
        self._pool.submit(self._converse, end, asker[0]).add_done_callback(self._left)

    def _left(self, _: object) -> None:
        self._busy -= 1

    def _converse(self, end: socket.socket, asker: str) -> None:
        """One question over one connection."""
        with end, suppress(OSError):
            end.settimeout(_SLOW)
            message = _whole(end)
            asked = dns.query(message)
            if asked is None:
                return
            told = self._known(asker, asked)
            if told is None:
                told = self._asked_whole(message, asked) or dns.answer(asked, dns.SERVER_FAILURE)
                self._learn(asker, asked, told)
            end.sendall(len(told).to_bytes(2, "big") + told)

    def _asked_whole(self, message: bytes, asked: dns.Query) -> bytes:
        number = secrets.randbelow(1 << 16)
        for resolver in configuration()[0]:
            with suppress(OSError), socket.create_connection((resolver, _PORT), _PATIENCE) as end:
                end.sendall(len(message).to_bytes(2, "big") + dns.renumbered(message, number))
                told = _whole(end)
                if dns.answers(told, asked, number):
                    return dns.renumbered(told, asked.number)
        return b""


def _whole(end: socket.socket) -> bytes:
    """One message with its length before it (RFC 1035, 4.2.2)."""
    length = int.from_bytes(_exactly(end, 2), "big")
    return _exactly(end, length)


def _exactly(end: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = end.recv(count - len(found))
        if not part:
            raise ConnectionError("it ended early")
        found += part
    return found
