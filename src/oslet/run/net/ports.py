"""Published ports: each is held by a socket, and carried by the machine's own network or by the forwarder."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Address

from oslet.errors import RunError
from oslet.run.net.machine import Entry
from oslet.run.net.way import Way
from oslet.run.network import TakenError
from oslet.run.records import Published

_BACKLOG = 1024
_MOST = 256
"""Ports of one instance."""


class _Door:
    """One published port: the socket that holds it, and what it leads to."""

    def __init__(self, place: str, port: Published, to: IPv4Address, held: socket.socket, key: int) -> None:
        self.place, self.port, self.to, self.held, self.key = place, port, to, held, key

    @property
    def entry(self) -> Entry:
        return Entry(IPv4Address(self.port.address), self.port.host, self.port.proto, self.to, self.port.container)


class Ports:
    """Every published port, by its instance's id."""

    def __init__(
        self,
        way: Way,
        keep: Callable[[str, int], None],
        drop: Callable[[str], None],
        kept: Mapping[str, int],
    ) -> None:
        self._way, self._keep, self._drop = way, keep, drop
        self._left = {name: fd for name, fd in kept.items() if name.startswith("network/port/")}
        self._doors: dict[str, list[_Door]] = {}
        self._forwarder = way.forwarder(kept)

    def open(
        self, owner: str, to: IPv4Address, published: Sequence[Published], holder: Callable[[Published], str]
    ) -> None:
        """Take the ports and let them answer. RunError, with nothing taken, when one can't be had; ``holder`` names
        the instance that has it, if one has."""
        if not published:
            return
        if len(published) > _MOST:
            raise RunError(f"{len(published)} ports to publish; one instance may have {_MOST}")
        doors = self._doors[owner] = []
        try:
            for number, port in enumerate(published):
                held = claim(port, holder)
                doors.append(_Door(f"network/port/{owner}/{number}", port, to, held, _key(to, number)))
                self._keep(doors[-1].place, held.fileno())
            self._carry(doors)
        except BaseException as error:
            self.close(owner)
            if isinstance(error, OSError):
                raise RunError(f"the ports can't be published: {error.strerror}") from None
            raise

    def holder(self, port: Published) -> str:
        """The id of the instance that has a port of the machine, or nothing."""
        for owner, doors in self._doors.items():
            if any((d.port.host, d.port.proto) == (port.host, port.proto) for d in doors):
                return owner
        return ""

    def close(self, owner: str) -> None:
        doors = self._doors.pop(owner, [])
        carried = [d.key for d in doors if not self._mapped(d)]
        for door in doors:
            if self._mapped(door) and self._way.machine:
                with suppress(OSError):
                    self._way.machine.withdraw([door.entry])
            self._drop(door.place)
            door.held.close()
        if carried and self._forwarder:
            with suppress(RunError):
                self._forwarder.close(carried)

    def adopt(self, owner: str, to: IPv4Address, published: Sequence[Published]) -> None:
        """Know the ports of an instance that runs; one that nobody holds any more is taken again, if it can be."""
        for number, port in enumerate(published):
            place = f"network/port/{owner}/{number}"
            fd = self._left.pop(place, -1)
            with suppress(RunError):
                held = socket.socket(fileno=fd) if fd >= 0 else claim(port, lambda _: "")
                if fd < 0:
                    self._keep(place, held.fileno())
                self._doors.setdefault(owner, []).append(_Door(place, port, to, held, _key(to, number)))

    def settle(self) -> None:
        """End what no adopted instance has."""
        for place, fd in self._left.items():
            self._drop(place)
            os.close(fd)
        self._left.clear()
        doors = [door for doors in self._doors.values() for door in doors]
        if self._way.machine:
            self._way.machine.only([d.entry for d in doors if self._mapped(d)])
            for door in filter(self._mapped, doors):
                _listen(door.held)
        carried = [d for d in doors if not self._mapped(d)]
        if self._forwarder and self._forwarder.alive():
            self._forwarder.only([d.key for d in carried])
        elif carried:
            self._restart(carried)

    def leave(self) -> None:
        """Let go of everything; what is kept stays."""
        for doors in self._doors.values():
            for door in doors:
                door.held.close()
        if self._forwarder:
            self._forwarder.end()

    def shut(self) -> None:
        for owner in tuple(self._doors):
            self.close(owner)

    def tend(self) -> None:
        """Start the forwarder again if it is gone."""
        carried = [d for doors in self._doors.values() for d in doors if not self._mapped(d)]
        if carried and not (self._forwarder and self._forwarder.alive()):
            self._restart(carried)

    def _carry(self, doors: Sequence[_Door]) -> None:
        mapped = [d for d in doors if self._mapped(d)]
        if mapped and self._way.machine:
            self._way.machine.publish([d.entry for d in mapped])
        for door in mapped:
            _listen(door.held)  # only now: nobody is to connect to what never answers
        carried = [d for d in doors if not self._mapped(d)]
        if not carried:
            return
        if self._forwarder and self._forwarder.alive():
            self._lead(carried)
        else:
            self._restart([d for all_doors in self._doors.values() for d in all_doors if not self._mapped(d)])

    def _restart(self, carried: Sequence[_Door]) -> None:
        if self._forwarder:
            self._forwarder.end()
        self._forwarder = self._way.fresh_forwarder(self._keep)
        self._lead(carried)

    def _lead(self, doors: Sequence[_Door]) -> None:
        assert self._forwarder
        for door in doors:
            _listen(door.held)
            self._forwarder.open(door.key, door.held.fileno(), door.to, door.port.container)

    def _mapped(self, door: _Door) -> bool:
        return self._way.machine is not None and ":" not in door.port.address


def claim(port: Published, holder: Callable[[Published], str]) -> socket.socket:
    """A bound socket for a port of this machine. RunError when it can't be had."""
    family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
    stream = port.proto == "tcp"
    made = socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
    try:
        if stream:  # for datagrams it would share the port with whoever asks
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((port.address, port.host))
    except OSError as error:
        made.close()
        raise _taken(port, error, holder(port)) from None
    return made


def _taken(port: Published, error: OSError, holder: str) -> RunError:
    """Why a port can't be had; ``holder`` is the name of the instance that has it, if one has."""
    where = f"{port.address}:{port.host}"
    if error.errno == errno.EACCES:
        return RunError(f"port {port.host} needs root", where=where, hint=f"publish another: -p 8080:{port.container}")
    if error.errno != errno.EADDRINUSE:
        return RunError(f"port {port.host} can't be used: {error.strerror}", where=where)
    another = f"publish another: -p {port.host + 1}:{port.container}"
    if holder:
        what = f"port {port.host} is taken by the instance {holder!r}"
        return TakenError(what, where=where, hint=f"oslet stop {holder}, or {another}")
    return TakenError(f"port {port.host} is taken by another program", where=where, hint=another)


def _listen(held: socket.socket) -> None:
    if held.type == socket.SOCK_STREAM:
        held.listen(_BACKLOG)


def _key(to: IPv4Address, number: int) -> int:
    return (int(to) & 0xFFFF) << 16 | number
