"""As a program: carries connections to published ports into the switch. ``forwarding`` starts and steers it.

    forward.py UID

Descriptor 3 is what it is told by (``told``), and it ends with that; 4, the switch's network namespace. A UID other
than 0 is who it becomes once it is there: root's needs none of root's power.

It imports no more than it must: it is there for as long as ports are.
"""

from __future__ import annotations

import os
import select
import struct
import sys
from _socket import AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, socket
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from oslet.run.net.carry import Links
    from oslet.run.net.datagrams import Flows

STEER, SWITCH = 3, 4
OPEN, CLOSE, ONLY = b"+-="
"""What it is told: a byte, then for OPEN a key, an address and a port, with the socket beside it (``unix(7)``); for
CLOSE a key; for ONLY all keys that stay. Each is answered with one byte."""

KEY = struct.Struct("=Q")
TARGET = struct.Struct("=Q4sH")
_MOST = 1 << 17
_TEND = 5.0
_NEWNET = 0x40000000


def enter(fd: int) -> None:
    if hasattr(os, "setns"):
        os.setns(fd, _NEWNET)
        return
    import ctypes

    if ctypes.CDLL(None, use_errno=True).setns(fd, _NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


class Forward:
    """The one loop: what it is told, connections, datagrams."""

    def __init__(self, links: Links, flows: Flows, poll: select.epoll) -> None:
        self.links, self.flows, self.poll = links, flows, poll
        self.steer = socket(AF_UNIX, SOCK_SEQPACKET, 0, STEER)
        poll.register(STEER, select.EPOLLIN)

    def serve(self) -> None:
        """Until there is nobody to tell it anything."""
        links, flows = self.links, self.flows
        while True:
            wait = links.wait()
            for descriptor, _ in self.poll.poll(_TEND if wait is None and flows.flows else wait):
                if descriptor == STEER:
                    if not self.told():
                        return
                elif descriptor in flows.doors or descriptor in flows.flows:
                    flows.ready(descriptor)
                else:
                    links.ready(descriptor)
            links.tend()
            flows.tend()

    def told(self) -> bool:
        """Do one thing; False at the end."""
        said, beside, _, _ = self.steer.recvmsg(_MOST, 64)
        if not said:
            return False
        what, about = said[0], said[1:]
        if what == OPEN:
            given = socket(fileno=struct.unpack("=i", beside[0][2])[0])
            key, address, port = TARGET.unpack(about)
            to = self.flows if given.type == SOCK_DGRAM else self.links
            to.open(key, given, (".".join(map(str, address)), port))
        else:
            named = {key for (key,) in KEY.iter_unpack(about)}
            for side in (self.links, self.flows):
                side.close(lambda key: (key in named) == (what == CLOSE))
        with suppress(OSError):  # who asked is gone; another will come
            self.steer.send(b"1")
        return True


def main(words: list[str]) -> None:
    enter(SWITCH)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > STEER:
            try:
                os.close(int(name))
            except OSError:
                continue  # the one that listed them
    sys.path.append(__file__.rpartition("/")[0])  # last, since modules here are named as some of Python's own
    import carry  # type: ignore[import-not-found] # it stands beside this file
    import datagrams  # type: ignore[import-not-found]

    os.chdir("/")
    if uid := int(words[0]):
        become(uid)
    poll = select.epoll()
    Forward(carry.Links(poll, carry.most()), datagrams.Flows(poll), poll).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
