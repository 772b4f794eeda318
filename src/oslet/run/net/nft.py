"""Words of nf_tables: tables, chains, rules, sets and their elements, as messages (linux/netfilter/nf_tables.h).

Raw, since the ``nft`` program takes 2 to 8 ms a call and libnftables may be missing: an element costs 0.05 ms here.
Everything is of the ``ip`` family. ``nft list ruleset`` shows what comes of it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from oslet.run.net.netlink import CREATE, Message, Netlink, attr, attributes, nest, text

_IP, _SUBSYSTEM = 2, 10
_NEW_TABLE, _DEL_TABLE, _NEW_CHAIN, _GET_CHAIN, _DEL_CHAIN, _NEW_RULE, _DEL_RULE = 0, 2, 3, 4, 5, 6, 8
_NEW_SET, _DEL_SET, _NEW_ELEMENT, _DEL_ELEMENT = 9, 11, 12, 14
_BEGIN, _END = 0x10, 0x11
_ELEMENT = 1
"""NFTA_LIST_ELEM."""

DROP, ACCEPT, _JUMP, _GOTO = 0, 1, -3, -4
IIF, OIF, IIFNAME, OIFNAME, L4PROTO, IIFGROUP, OIFGROUP = 4, 5, 6, 7, 16, 21, 22
"""NFT_META_*."""

ADDRESS, PROTO, SERVICE, INDEX, GROUP = 7, 12, 13, 20, 33
"""Types of sets' fields, by nft's own numbers; only its listings know them."""

PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = range(5)
INTERVAL, _MAP = 4, 8
_VERDICT = 0xFFFFFF00
_FIRST = 8
"""NFT_REG32_00, the first of the registers; each holds four bytes."""


def _be(kind: int, value: int) -> bytes:
    return attr(kind, (value & 0xFFFFFFFF).to_bytes(4, "big"))


def _value(kind: int, value: bytes) -> bytes:
    return nest(kind, attr(1, value))


class Verdict(NamedTuple):
    """What happens to a packet."""

    code: int
    chain: str = ""

    def told(self, kind: int) -> bytes:
        return nest(kind, nest(2, _be(1, self.code), *([text(2, self.chain)] if self.chain else [])))


def jump(chain: str) -> Verdict:
    return Verdict(_JUMP, chain)


def goto(chain: str) -> Verdict:
    return Verdict(_GOTO, chain)


accept, drop = Verdict(ACCEPT), Verdict(DROP)


# Expressions: each is bytes; ``at`` counts registers of four bytes.


def _expression(name: str, *data: bytes) -> bytes:
    return nest(_ELEMENT, text(1, name), nest(2, *data))


def meta(key: int, at: int = 0) -> bytes:
    return _expression("meta", _be(2, key), _be(1, _FIRST + at))


def _payload(layer: int, offset: int, length: int, at: int) -> bytes:
    return _expression("payload", _be(1, _FIRST + at), _be(2, layer), _be(3, offset), _be(4, length))


def source(at: int = 0) -> bytes:
    return _payload(1, 12, 4, at)


def destination(at: int = 0) -> bytes:
    return _payload(1, 16, 4, at)


def port(at: int = 0) -> bytes:
    """The destination port of TCP or UDP."""
    return _payload(2, 2, 2, at)


def constant(value: bytes, at: int = 0) -> bytes:
    return _expression("immediate", _be(1, _FIRST + at), _value(2, value))


def equals(value: bytes, at: int = 0, *, differs: bool = False) -> bytes:
    return _expression("cmp", _be(1, _FIRST + at), _be(2, differs), _value(3, value))


def _masked(mask: bytes, at: int = 0) -> bytes:
    return _expression(
        "bitwise",
        _be(1, _FIRST + at), _be(2, _FIRST + at), _be(3, len(mask)), _value(4, mask), _value(5, bytes(len(mask))),
    )  # fmt: skip


def within(network: bytes, bits: int, at: int = 0) -> bytes:
    """Whether the address in a register is of a network."""
    mask = (0xFFFFFFFF << 32 - bits & 0xFFFFFFFF).to_bytes(4, "big")
    return _masked(mask, at) + equals(network, at)


def known() -> bytes:
    """ct state established,related."""
    return _tracked(0, 0x6)


def redirected() -> bytes:
    """ct status dnat: it came to a published port."""
    return _tracked(2, 0x20)


def _tracked(key: int, bits: int) -> bytes:
    mask = bits.to_bytes(4, sys.byteorder)
    return _expression("ct", _be(1, _FIRST), _be(2, key)) + _masked(mask) + equals(bytes(4), differs=True)


def to_machine() -> bytes:
    """fib daddr type local."""
    return _expression("fib", _be(1, _FIRST), _be(2, 3), _be(3, 2)) + equals((2).to_bytes(4, sys.byteorder))


def among(name: str, at: int = 0) -> bytes:
    return _expression("lookup", text(1, name), _be(2, _FIRST + at))


def mapped(name: str, at: int = 0, to: int | None = None) -> bytes:
    """Look up in a map: of verdicts, or into registers from ``to`` on."""
    return _expression("lookup", text(1, name), _be(2, _FIRST + at), _be(3, 0 if to is None else _FIRST + to))


def redirect(at: int = 0) -> bytes:
    """dnat to the address and port in two registers."""
    return _expression("nat", _be(1, 1), _be(2, _IP), _be(3, _FIRST + at), _be(5, _FIRST + at + 1))


def masquerade() -> bytes:
    return _expression("masq")


def refuse() -> bytes:
    """ICMP: forbidden by an administrator, which a client takes for an error at once."""
    return _expression("reject", _be(1, 0), attr(2, b"\x0d"))


def then(verdict: Verdict) -> bytes:
    return _expression("immediate", _be(1, 0), verdict.told(2))


class Table:
    """Messages about one table, in the order in which they are to be sent by ``commit``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._ids = 0

    def _message(self, kind: int, *body: bytes, flags: int = 0) -> Message:
        return Message(_SUBSYSTEM << 8 | kind, flags, bytes((_IP, 0, 0, 0)) + text(1, self.name) + b"".join(body))

    def made(self) -> Message:
        return self._message(_NEW_TABLE, flags=CREATE)

    def removed(self) -> Message:
        return self._message(_DEL_TABLE)

    def chain(self, name: str) -> Message:
        return self._message(_NEW_CHAIN, text(3, name), flags=CREATE)

    def hook(self, name: str, kind: str, hook: int, priority: int, policy: int = ACCEPT) -> Message:
        where = nest(4, _be(1, hook), _be(2, priority))
        return self._message(_NEW_CHAIN, text(3, name), where, _be(5, policy), text(7, kind), flags=CREATE)

    def rule(self, chain: str, *expressions: bytes) -> Message:
        return self._message(_NEW_RULE, text(2, chain), nest(4, *expressions), flags=CREATE | 0x800)  # at the end

    def chain_removed(self, name: str) -> tuple[Message, Message]:
        return self._message(_DEL_RULE, text(2, name)), self._message(_DEL_CHAIN, text(3, name))

    def set(self, name: str, fields: Sequence[int], flags: int = 0, data: Sequence[int] | None = None) -> Message:
        """``data`` makes it a map: of verdicts when empty."""
        self._ids += 1
        shape = [_be(4, _concatenated(fields)), _be(5, 4 * len(fields))]
        if data is not None:
            flags |= _MAP
            shape += [_be(6, _concatenated(data) if data else _VERDICT), _be(7, 4 * len(data) or 16)]
        return self._message(_NEW_SET, text(2, name), _be(3, flags), *shape, _be(10, self._ids), flags=CREATE)

    def set_removed(self, name: str) -> Message:
        return self._message(_DEL_SET, text(2, name))

    def added(self, name: str, elements: Iterable[bytes]) -> Message:
        return self._message(_NEW_ELEMENT, text(2, name), nest(3, *elements), flags=CREATE)

    def taken(self, name: str, elements: Iterable[bytes]) -> Message:
        return self._message(_DEL_ELEMENT, text(2, name), nest(3, *elements))

    def emptied(self, name: str) -> Message:
        return self._message(_DEL_ELEMENT, text(2, name))

    def chains(self, netlink: Netlink) -> tuple[str, ...]:
        """The names of its chains."""
        return tuple(chain for table, chain, _ in bases(netlink) if table == self.name)


def _concatenated(fields: Sequence[int]) -> int:
    number = 0
    for field in fields:
        number = number << 6 | field
    return number


def element(key: bytes, data: bytes | Verdict | None = None, *, ends: bool = False) -> bytes:
    """One element; ``ends`` is for the first address that is no longer of an interval."""
    parts = [_value(1, key)]
    if data is not None:
        parts.append(data.told(2) if isinstance(data, Verdict) else _value(2, data))
    return nest(_ELEMENT, *parts, *([_be(3, 1)] if ends else []))


def commit(netlink: Netlink, messages: Sequence[Message]) -> None:
    """All of it or nothing, seen at once by every packet. OSError of the first that was refused."""
    about = bytes((0, 0, 0, _SUBSYSTEM))
    netlink.ask([Message(_BEGIN, 0, about), *messages, Message(_END, 0, about)])


class Base(NamedTuple):
    """A chain that the kernel itself calls: its table's name, its own and its hook."""

    table: str
    chain: str
    hook: int


def foreign(netlink: Netlink, own: str) -> tuple[Base, ...]:
    """Others' chains on the way of forwarded packets: any of these may drop ours."""
    return tuple(b for b in bases(netlink) if b.table != own and b.hook == FORWARD)


def bases(netlink: Netlink) -> list[Base]:
    """Every chain there is, also those that only other chains call: their hook is -1."""
    found = []
    for family in (_IP, 1):  # ip, and inet
        body = bytes((family, 0, 0, 0))
        for told in netlink.dump(Message(_SUBSYSTEM << 8 | _GET_CHAIN, 0, body)):
            about = attributes(told[4:])
            where = attributes(about[4]) if 4 in about else {}
            hook = int.from_bytes(where[1], "big") if 1 in where else -1
            found.append(Base(about[1].rstrip(b"\0").decode(), about[3].rstrip(b"\0").decode(), hook))
    return found
