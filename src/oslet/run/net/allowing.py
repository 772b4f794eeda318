"""What an instance may reach, as it is written: HOST, HOST:PORT, ADDRESS, ADDRESS:PORT, NET/BITS."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import NamedTuple

from oslet.errors import RunError
from oslet.run.net.rules import ANY, Reach

_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


class Allowed(NamedTuple):
    """A list, read: ``names`` with the ports that may be reached there, the rest as addresses."""

    names: dict[str, frozenset[int]]
    reach: Reach


def allowed(entries: Sequence[str]) -> Allowed:
    """RunError for an entry that can't be read."""
    names: dict[str, frozenset[int]] = {}
    hosts: list[tuple[IPv4Address, int]] = []
    nets: list[IPv4Network] = []
    for entry in entries:
        if "/" in entry:
            nets.append(_network(entry))
            continue
        host, _, ending = entry.partition(":")
        port = _port(ending, entry) if ":" in entry else ANY
        name = host.lower().rstrip(".")
        try:
            hosts.append((IPv4Address(name), port))
        except AddressValueError:
            if not _NAME.fullmatch(name) or name.rpartition(".")[2].isdecimal():
                raise _unread(entry) from None
            names[name] = names.get(name, frozenset()) | {port}
    return Allowed(names, Reach(tuple(hosts), tuple(nets)))


def _network(entry: str) -> IPv4Network:
    try:
        return IPv4Network(entry, strict=False)
    except ValueError:
        raise _unread(entry) from None


def _port(text: str, entry: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65536:
        return int(text)
    raise _unread(entry)


def _unread(entry: str) -> RunError:
    what = "an IPv6 address, which instances don't have" if entry.count(":") > 1 else "not an address to allow"
    return RunError(f"{entry!r} is {what}", where="allow", hint="write HOST, HOST:PORT or NET/BITS, as in 10.0.0.0/8")
