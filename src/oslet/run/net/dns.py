"""Messages of the domain name system, as far as a responder needs them (RFC 1035). The bytes are anybody's.

Ours, since dnslib takes 66 ms to import and dnspython 270; dnslib is what the tests compare with.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address
from typing import NamedTuple

A, AAAA, _IN = 1, 28, 1
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NO_NAME, REFUSED = 0, 1, 2, 3, 5
LONGEST = 4096
"""Bytes of a message that is looked at; over TCP there may be 65,535."""

_HEADER = struct.Struct(">HHHHHH")
_ANSWER, _RECURSION_WANTED, _RECURSION_THERE, _AUTHORITY = 0x8000, 0x0100, 0x0080, 0x0400
_OPCODE = 0x7800
_POINTER = 0xC0
_RECORDS = 256
_BACK = b"\xc0\x0c"
"""A pointer to the name in the question, which follows the header."""


class Query(NamedTuple):
    """One question. ``name`` is in lower case, without the last dot; ``question`` is its bytes as they were asked."""

    number: int
    flags: int
    name: str
    kind: int
    question: bytes


def query(message: bytes) -> Query | None:
    """The question of a message; None for what is none: an answer, another operation, several, or not well formed."""
    if len(message) < _HEADER.size:
        return None
    number, flags, questions, *_ = _HEADER.unpack_from(message)
    if flags & (_ANSWER | _OPCODE) or questions != 1:
        return None
    return _question(message, number, flags)


def _question(message: bytes, number: int, flags: int) -> Query | None:
    labels, at = [], _HEADER.size
    while at < len(message) and (length := message[at]):
        # A pointer has nothing to point back to here.
        if length > 63 or at + length - _HEADER.size > 253:
            return None
        labels.append(message[at + 1 : at + 1 + length].lower())
        at += 1 + length
    if at + 5 > len(message):
        return None
    kind, family = struct.unpack_from(">HH", message, at + 1)
    if family != _IN:
        return None
    # A dot in a label, or what isn't text, makes a name that nothing has: it is passed on, never taken apart.
    name = ".".join(label.decode("latin-1").replace(".", "\\.") for label in labels)
    return Query(number, flags, name, kind, message[_HEADER.size : at + 5])


def answer(asked: Query, code: int = NO_ERROR, addresses: Iterable[IPv4Address] = (), ttl: int = 0) -> bytes:
    """An answer with addresses, with nothing, or with an error."""
    found = tuple(addresses)
    flags = _ANSWER | _AUTHORITY | asked.flags & _RECURSION_WANTED | _RECURSION_THERE | code
    head = _HEADER.pack(asked.number, flags, 1, len(found), 0, 0)
    records = (_BACK + struct.pack(">HHIH", A, _IN, ttl, 4) + address.packed for address in found)
    return head + asked.question + b"".join(records)


def renumbered(message: bytes, number: int) -> bytes:
    return number.to_bytes(2, "big") + message[2:]


def answers(message: bytes, asked: Query, number: int) -> bool:
    """Whether a message is the answer to a question that was passed on under a number."""
    if len(message) < _HEADER.size:
        return False
    told, flags, questions, *_ = _HEADER.unpack_from(message)
    if told != number or not flags & _ANSWER or questions != 1:
        return False
    found = _question(message, told, flags)
    return found is not None and (found.name, found.kind) == (asked.name, asked.kind)


def addresses(message: bytes) -> Iterator[IPv4Address]:
    """The IPv4 addresses among the answers of a message, as far as it is well formed."""
    if len(message) < _HEADER.size:
        return
    _, _, questions, count, *_ = _HEADER.unpack_from(message)
    at: int | None = _HEADER.size
    for _ in range(min(questions, _RECORDS)):
        at = _past(message, at)
        at = None if at is None else at + 4
    for _ in range(min(count, _RECORDS)):
        at = _past(message, at)
        if at is None or at + 10 > len(message):
            return
        kind, family, _, length = struct.unpack_from(">HHIH", message, at)
        at += 10
        if (kind, family, length) == (A, _IN, 4) and at + 4 <= len(message):
            yield IPv4Address(message[at : at + 4])
        at += length


def _past(message: bytes, at: int | None) -> int | None:
    """Where the name at a place is over; None outside of the message."""
    while at is not None and at < len(message):
        length = message[at]
        if length >= _POINTER:
            return at + 2
        if not length:
            return at + 1
        at += 1 + length
    return None
