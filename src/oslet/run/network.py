"""Network: which ports an instance answers on, as they are written. ``net`` is what carries them."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from oslet.errors import RunError
from oslet.run.records import Published

LOOPBACK = "127.0.0.1"
"""Where ports answer unless said otherwise: to this machine alone. Docker's 0.0.0.0 has surprised many."""


def published(declared: Sequence[str], given: Sequence[str]) -> tuple[Published, ...]:
    """The ports of an instance. Each declared one answers on the same port of this machine, unless given otherwise.

    ``given`` are ``HOST:CONTAINER`` or ``ADDRESS:HOST:CONTAINER`` (``[::1]:9000:8080``), as Docker's ``-p``, with
    ``/udp`` behind for datagrams; a HOST of 0 is a port that is free now.
    """
    ports = {(n, "tcp"): Published(n, n, LOOPBACK) for n in (_port(text, text) for text in declared)}
    for text in given:
        where, slash, proto = text.partition("/")
        if slash and proto not in ("tcp", "udp"):
            raise RunError(f"{text!r} is not a port to publish", hint="after the / stands tcp or udp")
        proto = proto or "tcp"
        address, _, rest = where.rpartition(":")[0].rpartition(":")
        container = _port(where.rpartition(":")[2], text)
        address = _address(address.strip("[]") or LOOPBACK, text)
        host = free_port(address, proto) if rest == "0" else _port(rest, text)
        ports[container, proto] = Published(container, host, address, proto)
    return tuple(ports.values())


class TakenError(RunError):
    """Of a port that somebody else has."""


def free_port(address: str = LOOPBACK, proto: str = "tcp") -> int:
    """A port that nobody has, of the kernel's choice; somebody may take it before it is claimed."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise RunError(f"no port can be had: {error.strerror}", where=address) from None
        port: int = probe.getsockname()[1]
        return port


def _port(text: str, whole: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise RunError(f"{whole!r} is not a port to publish", hint="write HOST:CONTAINER, as in 9000:8080")


def _address(text: str, whole: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        hint = "before the ports stands an address of this machine, as in 0.0.0.0:9000:8080 or [::1]:9000:8080"
        raise RunError(f"{whole!r} is not a port to publish", hint=hint) from None
