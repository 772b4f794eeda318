"""The way out of the switch: root's own network, else slirp4netns, else none; and the forwarder of ports."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from oslet.errors import RunError
from oslet.run.net import forwarding, links, machine, slirp
from oslet.run.net.namespace import Home
from oslet.run.net.netlink import NETFILTER, ROUTE, Netlink
from oslet.run.net.pool import Pool
from oslet.run.net.rules import Rules

_SLIRP, _FORWARDER = "network/slirp", "network/forwarder"


class Way:
    """How what leaves the switch goes on; ``machine`` is set where the machine's own network carries it."""

    def __init__(
        self, state: Path, home: Home, switch: Netlink, route: Netlink, rules: Rules, pool: Pool, program: Path | None
    ) -> None:
        self._home, self._switch, self._route = home, switch, route
        self._rules, self._pool, self._program = rules, pool, program
        self._log = state / "network.log"
        self._name = machine.PREFIX + sha256(os.fsencode(state)).hexdigest()[:8]
        self._slirp = -1
        self._led = False
        self.machine: machine.Machine | None = None
        self.obstacle = ""

    def adopt(self, kept: Mapping[str, int]) -> None:
        """Find the way that is there."""
        if _SLIRP in kept:
            self._slirp = kept[_SLIRP]
            self._led = True
        elif any(link.number == machine.LINK for link in links.links(self._switch)):
            own = machine.Machine(self._route, Netlink(NETFILTER), self._name, self._pool.network)
            if own.there():
                self.machine, self._led = own, True

    def lead(self, keep: Callable[[str, int], None]) -> None:
        """See to it that there is a way, or an obstacle."""
        if self._led and (self._slirp < 0 or slirp.alive(self._slirp)):
            return
        if self._led or self._by_machine():
            self._by_slirp(keep)
        self._led = True

    def tend(self, keep: Callable[[str, int], None]) -> bool:
        """See to it that the way which was there is there; whether published ports have to be told of anew."""
        lost = self.machine is not None and not self.machine.there()
        if lost:  # somebody emptied the machine's rules
            self.machine, self._led = None, False
            self.lead(keep)
        elif self._led:
            self.lead(keep)
        return lost

    def _by_machine(self) -> str:
        """Lead out as root can; why not, or nothing."""
        if not _rules_here():
            return "no right to change the machine's network"
        try:
            tables = Netlink(NETFILTER)
            if reason := machine.obstacle(tables, self._name):
                return reason
            own = machine.Machine(self._route, tables, self._name, self._pool.network)
        except OSError as error:
            return error.strerror or "no nf_tables"
        try:
            own.connect(self._switch, self._home.fd)
            self._rules.uplink(machine.LINK, hidden=False)
        except OSError as error:
            own.disconnect()
            return error.strerror or str(error)
        self.machine = own
        return ""

    def _by_slirp(self, keep: Callable[[str, int], None]) -> None:
        self.obstacle = slirp.obstacle(self._program)
        if self.obstacle or self._program is None:
            return
        try:
            self._slirp = slirp.connect(self._program, self._home.fd, self._pool.behind, self._log)
        except RunError as error:
            self.obstacle = str(error)
            return
        keep(_SLIRP, self._slirp)
        index = next(link.number for link in links.links(self._switch) if link.name == slirp.LINK)
        self._rules.uplink(index, hidden=True)

    def forwarder(self, kept: Mapping[str, int]) -> forwarding.Forwarder | None:
        """The one that is there."""
        return forwarding.Forwarder(kept[_FORWARDER]) if _FORWARDER in kept else None

    def fresh_forwarder(self, keep: Callable[[str, int], None]) -> forwarding.Forwarder:
        steer = forwarding.start(self._home.fd, self._log)
        keep(_FORWARDER, steer)
        return forwarding.Forwarder(steer)

    def leave(self) -> None:
        if self.machine:
            self.machine.leave()
        if self._slirp >= 0:
            os.close(self._slirp)

    def shut(self, drop: Callable[[str], None]) -> None:
        if self.machine:
            with suppress(OSError):
                self.machine.disconnect()
        for name in (_SLIRP, _FORWARDER):
            drop(name)


def _rules_here() -> bool:
    """Whether this process is root over the machine's network."""
    probe = Netlink(ROUTE)
    try:
        probe.ask([links.unchanged(links.LOOPBACK)])
    except OSError:
        return False
    finally:
        probe.close()
    return True
