"""Netlink: messages to the kernel's network, many in one call. ``netlink(7)``.

Raw, since pyroute2 takes 130 to 770 ms to import, and a cable made with it 17 ms instead of 1.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import NamedTuple

ROUTE, NETFILTER = 0, 12
"""The protocols: rtnetlink(7), and nfnetlink."""

REQUEST, ACK, EXCL, CREATE, DUMP = 0x1, 0x4, 0x200, 0x400, 0x300
_NESTED = 0x8000
_ERROR, _DONE = 2, 3
_MOST = 1 << 17
"""Longer than any answer: a part of a dump is at most 32 kB, an acknowledgement repeats what was asked."""


class Message(NamedTuple):
    """One message: its type, its flags beside REQUEST, and what follows the header."""

    kind: int
    flags: int
    body: bytes


def attr(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return struct.pack("=HH", len(value) + 4, kind) + value + bytes(-len(value) % 4)


def nest(kind: int, *attributes: bytes) -> bytes:
    return attr(kind | _NESTED, b"".join(attributes))


def u32(kind: int, value: int) -> bytes:
    return attr(kind, value.to_bytes(4, sys.byteorder))


def text(kind: int, value: str) -> bytes:
    return attr(kind, value.encode() + b"\0")


def attributes(body: bytes) -> dict[int, bytes]:
    """The attributes in a body, by type."""
    found = {}
    at = 0
    while at + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = body[at + 4 : at + length]
        at += length + 3 & ~3
    return found


class Netlink:
    """A socket of the network namespace of the thread that makes it, for any thread to use."""

    def __init__(self, protocol: int, groups: int = 0) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self.socket.bind((0, groups))
        self._lock = Lock()
        self._number = 0

    def ask(self, messages: Sequence[Message]) -> None:
        """Send all at once; each is done before this returns. OSError of the first that was refused.

        Only what is refused is answered, but for messages that ask for more with ACK.
        """
        with self._lock:
            self.socket.send(b"".join(self._framed(m) for m in messages))
            codes = [
                int.from_bytes(body[:4], sys.byteorder, signed=True) for _, kind, body in self._told() if kind == _ERROR
            ]
        if refused := next((-code for code in codes if code), 0):
            raise OSError(refused, os.strerror(refused))

    def one(self, message: Message) -> bytes:
        """The body of what there is one of."""
        with self._lock:
            self.socket.send(self._framed(message))
            for _, kind, body in self._told():
                if kind != _ERROR:
                    return body
                raise OSError(code := -int.from_bytes(body[:4], sys.byteorder, signed=True), os.strerror(code))
        raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))

    def dump(self, message: Message) -> list[bytes]:
        """The bodies of all that there is of a kind."""
        with self._lock:
            self.socket.send(self._framed(message._replace(flags=message.flags | DUMP)))
            found = []
            for _, kind, body in self._told():
                if kind == _ERROR and (code := -int.from_bytes(body[:4], sys.byteorder, signed=True)):
                    raise OSError(code, os.strerror(code))
                if kind in (_DONE, _ERROR):
                    break
                found.append(body)
            return found

    def drain(self) -> None:
        """Forget what it was told, as one of ``groups``."""
        for _ in self._told():
            pass

    def close(self) -> None:
        self.socket.close()

    def _framed(self, message: Message) -> bytes:
        self._number = self._number % 0x7FFFFFFF + 1
        header = struct.pack("=IHHII", len(message.body) + 16, message.kind, message.flags | REQUEST, self._number, 0)
        return header + message.body + bytes(-len(message.body) % 4)

    def _told(self) -> Iterator[tuple[int, int, bytes]]:
        """Number, type and body of each message there is. The kernel answers before ``send`` returns."""
        while True:
            try:
                block = self.socket.recv(_MOST, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENOBUFS:
                    continue
                raise
            at = 0
            while at + 16 <= len(block):
                length, kind, _, number, _ = struct.unpack_from("=IHHII", block, at)
                if length < 16:
                    break
                yield number, kind, block[at + 16 : at + length]
                at += length + 3 & ~3
