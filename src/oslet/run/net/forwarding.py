"""The forwarder as its user has it: a process that outlives the supervisor, and is steered over a socket."""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path
from threading import Lock

from oslet.errors import RunError
from oslet.run import ids
from oslet.run.net.forward import CLOSE, KEY, ONLY, OPEN, TARGET
from oslet.run.net.spawning import spawn

_NOBODY = 65534
"""Root's forwarder becomes this one of the instance's ids: nobody on this machine has it but an instance's nobody."""
_PATIENCE = 10.0


class Forwarder:
    """Steers a forwarder over ``steer``; a new one gets the switch's namespace and a ``log``."""

    def __init__(self, steer: int) -> None:
        self._steer = socket.socket(fileno=steer)
        self._steer.settimeout(_PATIENCE)
        self._lock = Lock()
        # An answer to the supervisor before this one.
        while select.select([self._steer], [], [], 0)[0] and self._steer.recv(1):
            pass

    def alive(self) -> bool:
        asked = select.poll()
        asked.register(self._steer, 0)
        return not asked.poll(0)

    def open(self, key: int, listening: int, address: IPv4Address, port: int) -> None:
        self._tell(bytes((OPEN,)) + TARGET.pack(key, address.packed, port), [listening])

    def close(self, keys: Iterable[int]) -> None:
        self._tell(bytes((CLOSE,)) + b"".join(map(KEY.pack, keys)))

    def only(self, keys: Iterable[int]) -> None:
        """Close all but these."""
        self._tell(bytes((ONLY,)) + b"".join(map(KEY.pack, keys)))

    def end(self) -> None:
        self._steer.close()

    def _tell(self, words: bytes, beside: list[int] | None = None) -> None:
        with self._lock:
            try:
                socket.send_fds(self._steer, [words], beside or [])
                answer = self._steer.recv(1)
            except OSError as error:
                raise RunError(f"the forwarder of ports doesn't answer: {error.strerror or error}") from None
        if answer != b"1":
            raise RunError("the forwarder of ports has ended")


def start(namespace: int, log: Path) -> int:
    """Start a forwarder; the descriptor that steers it, and with which it ends."""
    owner = ids.store_owner()
    become = 0 if owner is None or not _initial() else owner + _NOBODY
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    script = str(Path(__file__).with_name("forward.py"))
    with its:
        spawn(Path(sys.executable), ["-I", "-S", script, str(become)], (its.fileno(), namespace), log)
    return ours.detach()


def _initial() -> bool:
    """Whether this is a user namespace with all the machine's ids, and not one of an ordinary user."""
    return (
        len(Path("/proc/self/uid_map").read_text().split()) == 3
        and "4294967295" in Path("/proc/self/uid_map").read_text()
    )
