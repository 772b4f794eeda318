"""As a program: carries connections to published ports into a network namespace that has no other way in.

    forward.py UID PORT…

``network.share`` starts it inside the instance's network namespace, with these descriptors and no need of others:
3, a pipe it writes ``1`` to once the namespace's loopback is up; 4, a pipe that ends with the instance; from 5 on, one
listening socket a PORT, opened in the machine's network. What is accepted there is connected to PORT on the
namespace's loopback. A UID other than 0 is who it becomes once it is set up: root's needs none of root's power.

A start waits for the loopback, so that comes first. ``carry`` is imported after it, since unlike a program's own file
a module is kept compiled: that is 6 ms.
"""

from __future__ import annotations

import fcntl
import os
import sys
from _socket import AF_INET, SOCK_DGRAM, socket

READY, LIFE, FIRST = 3, 4, 5


def raise_loopback() -> None:
    """A new network namespace has its loopback down. ``netdevice(7)``: SIOCSIFFLAGS with IFF_UP."""
    asked = b"lo".ljust(16, b"\0") + (1).to_bytes(2, sys.byteorder) + bytes(22)
    fcntl.ioctl(socket(AF_INET, SOCK_DGRAM), 0x8914, asked)


def close_others(own: range) -> None:
    for name in os.listdir("/proc/self/fd"):  # pathlib takes longer to import than all of this
        if int(name) not in own:
            try:
                os.close(int(name))
            except OSError:
                continue  # the one that listed them


def become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def main(words: list[str]) -> None:
    raise_loopback()
    os.write(READY, b"1")
    uid, *ports = map(int, words)
    if not ports:
        return
    close_others(range(FIRST + len(ports)))
    os.close(READY)
    sys.path.append(__file__.rpartition("/")[0])  # last, since modules here are named as some of Python's own
    from carry import carry  # type: ignore[import-not-found] # it stands beside this file

    os.chdir("/")
    if uid:
        become(uid)
    carry(dict(enumerate(ports, FIRST)), LIFE)


if __name__ == "__main__":
    main(sys.argv[1:])
