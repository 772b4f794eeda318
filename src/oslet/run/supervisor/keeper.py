"""The supervisor's side of the keeper: what it keeps, and of whose end it tells. docs/slots.md has the protocol."""

from __future__ import annotations

import array
import os
import socket
from contextlib import suppress
from typing import NamedTuple

CONTROL, LISTENING = 3, 4
"""Descriptors that the keeper starts the supervisor with."""
_LONGEST = 128


class Death(NamedTuple):
    """A child of the keeper that has ended; 128 and the signal's number where one ended it."""

    pid: int
    code: int


class Keeper:
    """The keeper, and by name what it has kept since before this supervisor."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=CONTROL)
        os.set_inheritable(CONTROL, False)
        os.set_inheritable(LISTENING, False)
        self.kept: dict[str, int] = {}
        while self._take():
            pass

    def fileno(self) -> int:
        return self._socket.fileno()

    def _take(self) -> bool:
        said, ancillary, _, _ = self._socket.recvmsg(_LONGEST, socket.CMSG_LEN(4), socket.MSG_CMSG_CLOEXEC)
        if said[:1] != b"K":
            return False
        for _, _, data in ancillary:
            self.kept[said[1:].decode()] = array.array("i", data[:4])[0]
        return True

    def keep(self, name: str, fd: int) -> None:
        """Have a copy of ``fd`` outlive this process. Names are at most 95 bytes."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        with suppress(OSError):  # a keeper that is gone keeps nothing, which the next one sees
            self._socket.sendmsg([b"K" + name.encode()], rights, socket.MSG_NOSIGNAL)

    def drop(self, name: str) -> None:
        with suppress(OSError):
            self._socket.send(b"D" + name.encode(), socket.MSG_NOSIGNAL)

    def died(self) -> Death | None:
        """Whose end is told now; it stays as it is until ``bury``. None once the keeper itself is gone."""
        said = self._socket.recv(_LONGEST)
        if not said:
            return None
        pid, code = said[1:].split()
        return Death(int(pid), int(code))

    def bury(self, death: Death) -> None:
        """Its end is written down: its pid may be another's now."""
        with suppress(OSError):
            self._socket.send(b"R%d" % death.pid, socket.MSG_NOSIGNAL)
