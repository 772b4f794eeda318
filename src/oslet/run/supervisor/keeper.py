"""The supervisor's side of the keeper: what it keeps, and of whose end it tells. docs/slots.md has the protocol."""

from __future__ import annotations

import array
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from oslet.errors import RunError
from oslet.run import keeping

CONTROL, LISTENING = 3, 4
"""Descriptors that the keeper starts the supervisor with."""
_LONGEST = 128
_PATIENCE = 5.0
"""Seconds for an heir to begin."""


class Death(NamedTuple):
    """A child of the keeper that has ended; 128 and the signal's number where one ended it."""

    pid: int
    code: int


class Keeper:
    """The keeper, and by name what it has kept since before this supervisor."""

    def __init__(self, control: int = CONTROL) -> None:
        self._socket = socket.socket(fileno=control)
        os.set_inheritable(control, False)
        self.kept: dict[str, int] = {}
        self._copies: dict[str, int] = {}
        self._room = 0
        while self._take():
            pass

    def fileno(self) -> int:
        return self._socket.fileno()

    def _take(self) -> bool:
        """One thing that is kept, or at last how many may be."""
        said, ancillary, _, _ = self._socket.recvmsg(_LONGEST, socket.CMSG_LEN(4), socket.MSG_CMSG_CLOEXEC)
        if said[:1] != b"K":
            self._room = int(said[1:] or 0)
            return False
        for _, _, data in ancillary:
            name = said[1:].decode()
            self.kept[name] = array.array("i", data[:4])[0]
            self._copies[name] = os.dup(self.kept[name])
        return True

    def keep(self, name: str, fd: int) -> None:
        """Have a copy of ``fd`` outlive this process. Names are at most 95 bytes. RunError where there is no room."""
        if len(self._copies) >= self._room and name not in self._copies:
            hint = "a higher `ulimit -Hn` for the process that starts the first one has room for more"
            raise RunError(f"the keeper holds {self._room} descriptors for instances, and can't hold more", hint=hint)
        copy = os.dup(fd)
        old = self._copies.get(name)
        self._copies[name] = copy
        self._send(name, fd)
        if old is not None:
            os.close(old)

    def _send(self, name: str, fd: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        with suppress(OSError):  # a keeper that is gone has an heir soon, which gets the copies
            self._socket.sendmsg([b"K" + name.encode()], rights, socket.MSG_NOSIGNAL)

    def drop(self, name: str) -> None:
        copy = self._copies.pop(name, None)
        if copy is not None:
            os.close(copy)
        with suppress(OSError):
            self._socket.send(b"D" + name.encode(), socket.MSG_NOSIGNAL)

    def forget(self) -> None:
        """Keep nothing any more."""
        for name in list(self._copies):
            self.drop(name)

    def lives(self) -> None:
        """Say that this supervisor has begun to serve."""
        with suppress(OSError):
            self._socket.send(b"A", socket.MSG_NOSIGNAL)

    def died(self) -> Death | None:
        """Whose end is told now; it stays as it is until ``bury``. None once the keeper itself is gone."""
        try:
            said = self._socket.recv(_LONGEST)
        except ConnectionResetError:
            return None
        if not said:
            return None
        pid, code = said[1:].split()
        return Death(int(pid), int(code))

    def bury(self, death: Death) -> None:
        """Its end is written down: its pid may be another's now."""
        with suppress(OSError):
            self._socket.send(b"R%d" % death.pid, socket.MSG_NOSIGNAL)

    def bequeath(self, state: Path) -> None:
        """Start another keeper in the place of one that was killed, and give it all that was kept. It starts another
        supervisor once this one has ended, which must be soon. OSError, RunError if there is none to be had."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            keeping.heir(state, theirs.fileno(), LISTENING)
        finally:
            theirs.close()
        ours.settimeout(_PATIENCE)
        if ours.recv(_LONGEST)[:1] != b"G":
            raise RunError("the keeper was killed, and there can be no other")
        ours.settimeout(None)
        self._socket = ours
        for name, copy in list(self._copies.items()):
            self._send(name, copy)
