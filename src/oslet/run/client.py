"""Speaking with the supervisor, which is started when nobody answers. The user's process is never forked."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from oslet import errors
from oslet.errors import Fault, OsletError, RunError
from oslet.run import wire
from oslet.run.tools import Tools

SOCKET = "socket"
_PATIENCE = 30.0
"""Seconds in which a supervisor has to be found or started."""


def connect(state: Path, tools: Callable[[], Tools] | None = None) -> socket.socket:
    """A connection to the supervisor of ``state``. RunError where there is none and no ``tools`` to start one with."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Named by a descriptor, since a path to a socket may not be longer than 107 bytes: unix(7).
            folder = os.open(state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
                return connection
            finally:
                os.close(folder)
        except OSError as error:
            connection.close()
            if time.monotonic() > deadline:
                raise RunError("the supervisor doesn't answer", where=str(state / SOCKET)) from error
        _found(state, tools)


def _found(state: Path, tools: Callable[[], Tools] | None) -> None:
    """Start a keeper. One that another process starts meanwhile will do."""
    from oslet.run import keeping

    if tools is not None:
        keeping.write(state, tools())
    elif not (state / keeping.SETTINGS).exists():
        raise RunError("no instance was ever started here", where=str(state), hint="oslet run starts one")
    if not keeping.start(state):
        time.sleep(0.005)  # the other one has yet to listen, or to end


@contextmanager
def asked(
    state: Path, request: wire.Request, fds: tuple[int, ...] = (), tools: Callable[[], Tools] | None = None
) -> Iterator[socket.socket]:
    """A connection with a request on it."""
    connection = connect(state, tools)
    with connection:
        wire.send(connection, request, fds)
        yield connection


def answer(connection: socket.socket) -> tuple[wire.Reply, tuple[int, ...]]:
    """The next reply. The error that it says, as one; ConnectionError if the supervisor went away."""
    read = wire.read_reply(connection)
    if read is None:
        raise ConnectionResetError("the supervisor went away")
    reply, fds = read
    if isinstance(reply, wire.Failed):
        raise failure(reply)
    return reply, fds


def ask(
    state: Path, request: wire.Request, fds: tuple[int, ...] = (), tools: Callable[[], Tools] | None = None
) -> wire.Reply:
    """Ask, and ask again if the supervisor is killed meanwhile: the next one knows what the last one did."""
    for _ in range(8):
        try:
            with asked(state, request, fds, tools) as connection:
                return answer(connection)[0]
        except ConnectionError:
            time.sleep(0.05)
    raise RunError("the supervisor is killed again and again", where=str(state / "supervisor.log"))


def failure(reply: wire.Failed) -> OsletError:
    kind = getattr(errors, reply.kind, RunError)
    faults = tuple(Fault(*each) for each in reply.faults)
    error: OsletError = kind(faults[0].what, where=faults[0].where, hint=faults[0].hint)
    error.faults = faults
    return error


def end(state: Path, *, force: bool = False) -> None:
    """End the supervisor, if there is one; with ``force``, all that runs first. For who cleans up after himself."""
    from contextlib import suppress

    folder = os.open(state, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) if state.is_dir() else -1
    if folder < 0:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(f"/proc/self/fd/{folder}/{SOCKET}")
        except OSError:
            return
        finally:
            os.close(folder)
        wire.send(connection, wire.Quit(force))
        with suppress(ConnectionError):
            answer(connection)
        while connection.recv(1):
            pass
    deadline = time.monotonic() + 10
    while (state / SOCKET).exists() and time.monotonic() < deadline:
        time.sleep(0.002)
