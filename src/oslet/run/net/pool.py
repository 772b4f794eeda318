"""Addresses: a network of 65,536 that nothing on this machine uses, handed out one by one and again only late."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from oslet.errors import RunError

_FIRST, _LAST = 2, 0xFDFF
"""Below is the gateway, above what the way out needs: x.y.254.0/24 for slirp4netns, the last four for a cable."""

_CANDIDATES = [IPv4Network((10 << 24 | second << 16, 16)) for second in (*range(128, 255), *range(1, 128))]
_CANDIDATES += [IPv4Network((172 << 24 | second << 16, 16)) for second in range(16, 32)]


def unused(taken: Iterable[IPv4Network], first: int) -> IPv4Network:
    """A network that overlaps none; the search begins at the ``first``, so that two users seldom meet."""
    known = [net for net in taken if net.prefixlen]
    for number in range(len(_CANDIDATES)):
        candidate = _CANDIDATES[(first + number) % len(_CANDIDATES)]
        if not any(candidate.overlaps(net) for net in known):
            return candidate
    raise RunError("this machine's routes leave no private network unused", hint="start with --network host or none")


class Pool:
    """The addresses of one network, as those of the ``taken`` are in use."""

    def __init__(self, network: IPv4Network, taken: Iterable[IPv4Address]) -> None:
        self.network = network
        used = {int(address) & 0xFFFF for address in taken}
        # What is in use was handed out last, so begin behind it: connections of the dead may still be under way.
        begin = max((n for n in used if _FIRST <= n <= _LAST), default=_FIRST - 1) + 1
        order = (*range(begin, _LAST + 1), *range(_FIRST, begin))
        self._free = deque(number for number in order if number not in used)
        self._used = used

    @property
    def gateway(self) -> IPv4Address:
        return self.network.network_address + 1

    @property
    def behind(self) -> IPv4Network:
        """What slirp4netns uses."""
        return IPv4Network((int(self.network.network_address) + 0xFE00, 24))

    def take(self) -> IPv4Address:
        try:
            number = self._free.popleft()
        except IndexError:
            raise RunError(f"all {_LAST} addresses of instances are in use", where=str(self.network)) from None
        self._used.add(number)
        return IPv4Address(int(self.network.network_address) + number)

    def give(self, address: IPv4Address) -> None:
        number = int(address) & 0xFFFF
        if number in self._used:
            self._used.remove(number)
            self._free.append(number)
