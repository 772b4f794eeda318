"""Serving: what clients ask, each on a connection of its own, is brought to the service, and the answer back."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from oslet.errors import OsletError, RunError
from oslet.run import records, wire
from oslet.run.supervisor import lives as living
from oslet.run.supervisor import machines, preparing, renewing, worded
from oslet.run.supervisor.deciding import Asked
from oslet.run.supervisor.hearing import Hearing
from oslet.run.supervisor.lives import Life
from oslet.run.supervisor.service import Service, Stdio


class Serving:
    """The door, and who came through it. ``busy`` requests are being seen to; the last client came at ``last``;
    ``ending`` is set once one wants that."""

    def __init__(self, service: Service, hearing: Hearing, door: socket.socket) -> None:
        self.service = service
        self.busy = 0
        self.last = time.monotonic()
        self.ending = False
        self._hearing = hearing
        self._door = door
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        """Rung when there is to be an end."""
        hearing.hear(self._bell, lambda: None)
        hearing.hear(door.fileno(), self._admit)

    def _admit(self) -> None:
        connection, _ = self._door.accept()
        self.last = time.monotonic()  # whoever came is heard before there is an end
        connection.settimeout(10)
        self._hearing.hear(connection.fileno(), lambda: self._serve(connection))

    def _serve(self, connection: socket.socket) -> None:
        self._hearing.unhear(connection.fileno())
        try:
            read = wire.read_request(connection)
        except (OSError, ValueError) as error:
            return self._answer(connection, RunError(f"the request can't be read: {error}"))
        if read is None:
            return connection.close()
        self.last = time.monotonic()
        request, fds = read
        if isinstance(request, wire.Words):
            understood = self._understood(request)
            plain = wire.Plain(fileno=connection.detach())
            plain.settimeout(10)
            plain.attached = isinstance(understood, wire.Start) and understood.attached
            return self._begin(plain, understood, fds)
        return self._begin(connection, request, fds)

    def _understood(self, words: wire.Words) -> wire.Request | None:
        with suppress(OsletError, OSError, ValueError, IndexError):  # its client begins anew, and is told then
            if words.mode == "wait":
                return wire.Wait(words.words[0], attached=True)
            return worded.start(words) if words.mode else None
        return None

    def _begin(self, connection: socket.socket, request: wire.Request | None, fds: tuple[int, ...]) -> None:
        if request is None:
            wire.close(fds)
            return self._answer(connection, RunError("these words are for a client that can read more"))
        if isinstance(request, wire.Start):
            with suppress(OsletError):  # which is told where it comes up again
                asked = self.service.decisions.decide(request)
                if self.service.pools.has(asked.layout):
                    return self._do(connection, asked, fds)
        self.busy += 1
        threading.Thread(target=self._apart, args=(connection, request, fds), daemon=True).start()
        return None

    def _apart(self, connection: socket.socket, request: wire.Request, fds: tuple[int, ...]) -> None:
        try:
            self._do(connection, request, fds)
        finally:
            self.busy -= 1

    def _do(self, connection: socket.socket, request: wire.Request | Asked, fds: tuple[int, ...]) -> None:
        """Answer a request, and have whoever waits for an end told of it."""
        try:
            match request:
                case Asked():
                    self._start(connection, request, fds)
                case wire.Start():
                    self._start(connection, self.service.decisions.decide(request), fds)
                case wire.Exec() | wire.Visit():
                    self._enter(connection, request, fds)
                case wire.Carry():
                    self._answer(connection, wire.Ended(self._carry(request, fds)))
                case wire.Wait():
                    self._wait(connection, request)
                case wire.Stop():
                    self._answer(connection, wire.Ended(self.service.stop(request)))
                case wire.Restart():
                    life = renewing.renew(self.service, request)
                    self._answer(connection, wire.Started(records.begun(life.record), self._notice(life)))
                case wire.Park():
                    self._park(connection, request)
                case wire.Copy():
                    self.service.copy(request)
                    self._answer(connection, self._waiting())
                case wire.Ask():
                    self._answer(connection, self._waiting())
                case wire.Probe():
                    self._answer(connection, wire.Ended(int(not self.service.well(request))))
                case wire.Quit():
                    self._quit(request)
                    self._answer(connection, self._waiting())
        except OsletError as error:
            self._answer(connection, error)
        except Exception as error:  # a fault of ours is to be told, too, and must not end what runs
            self._answer(connection, RunError(f"a fault of the supervisor's: {type(error).__name__}: {error}"))
            raise

    def _answer(self, connection: socket.socket, reply: wire.Reply | OsletError) -> None:
        if isinstance(reply, OsletError):
            faults = tuple((f.what, f.where, f.hint) for f in reply.faults)
            reply = wire.Failed(type(reply).__name__, faults)
        with suppress(OSError):
            wire.send(connection, reply)
        connection.close()

    def _start(self, connection: socket.socket, asked: Asked, fds: tuple[int, ...]) -> None:
        terminal: int | None = None
        life = self.service.repeated(asked.start)
        with _given(fds) as stdio:
            if life is None:
                life, terminal = self.service.start(asked, stdio)
        reply = wire.Started(records.begun(life.record), self._notice(life))
        with suppress(OSError):
            wire.send(connection, reply, () if terminal is None else (terminal,))
        if terminal is not None:
            os.close(terminal)
        self.service.lives.discard(life)
        self.service.events.tell("start", life.record)
        if not asked.start.attached and asked.start.wish.restart == "no":
            self._remember(life)
        return self._attach(connection, life, held=True) if asked.start.attached else connection.close()

    def _remember(self, life: Life) -> None:
        """So that the next supervisor can begin it again. Only now, when nobody waits for it."""
        with life.beginning, suppress(RunError):
            if not life.ended.is_set():
                renewing.remember(self.service.keeper, life)

    def _notice(self, life: Life) -> str:
        if not (obstacle := self.service.wiring.obstacle(life.record)):
            return ""
        forwarded = "; its ports are forwarded" if life.record.published else ""
        way = "--network host shares the machine's network"
        return f"no way out of this instance: {obstacle}{forwarded} ({way})"

    def _enter(self, connection: socket.socket, request: wire.Exec | wire.Visit, fds: tuple[int, ...]) -> None:
        service = self.service
        with _given(fds) as stdio:
            if isinstance(request, wire.Exec):
                pid, terminal = service.enter(request, stdio)
            else:
                pid, terminal = service.visit(request, stdio)
        instance = records.observe(*records.find(service.state, request.ref))
        wire.send(connection, wire.Started(replace(instance, pid=pid)), () if terminal is None else (terminal,))
        if terminal is not None:
            os.close(terminal)
        self._answer(connection, wire.Ended(service.ended(pid)))

    def _carry(self, request: wire.Carry, fds: tuple[int, ...]) -> int:
        with _given(fds) as stdio:
            if stdio is None:
                raise RunError("a copy comes with three descriptors")
            return self.service.carry(request, stdio)

    def _wait(self, connection: socket.socket, request: wire.Wait) -> None:
        folder, record = records.find(self.service.state, request.ref)
        if life := self.service.lives.get(record.id):
            return self._attach(connection, life, held=request.attached, grace=request.grace)
        return self._over(connection, records.observe(folder, record).exit_code or 0, folder)

    def _attach(self, connection: socket.socket, life: Life, *, held: bool, grace: float = 10.0) -> None:
        """Tell the connection of the life's end; a ``held`` one ends with its client."""

        def told() -> None:
            life.ended.wait()
            self._hearing.unhear(descriptor)
            self._over(connection, life.code, life.folder)

        def heard() -> None:
            if isinstance(connection, wire.Plain) and (numbers := connection.signals()):
                for number in numbers:
                    living.kill(life.record, number)
                return
            self._hearing.unhear(descriptor)
            if held and not life.ended.is_set():
                stop = wire.Stop(life.record.id, grace, remove=True)
                threading.Thread(target=self.service.stop, args=(stop,), daemon=True).start()

        life.held |= held
        descriptor = connection.fileno()
        self._hearing.hear(descriptor, heard)
        threading.Thread(target=told, daemon=True).start()

    def _over(self, connection: socket.socket, code: int, folder: Path) -> None:
        """Tell of an end. A client that can ask for nothing more has gone when nothing is left."""
        if not isinstance(connection, wire.Plain):
            return self._answer(connection, wire.Ended(code))
        with suppress(OSError):
            wire.send(connection, wire.Ended(code))
        shutil.rmtree(folder, ignore_errors=True)
        return connection.close()

    def _park(self, connection: socket.socket, request: wire.Park) -> None:
        service = self.service
        asked = service.decisions.decide(request.like)
        machines.park(asked.layout, request.count)
        preparing.prepare(service, asked, asked.layout)
        fill = partial(service.filling.fill, asked.facts, asked.layout, asked.name, parked=True)
        lease = object() if request.held else None
        try:
            service.pools.keep(asked.layout, request.count, fill, lease)
        except BaseException:
            service.pools.release(lease)
            raise
        if lease is None:
            return self._answer(connection, self._waiting())
        with suppress(OSError):
            wire.send(connection, self._waiting())

        def gone() -> None:
            self._hearing.unhear(connection.fileno())
            connection.close()
            service.pools.release(lease)

        return self._hearing.hear(connection.fileno(), gone)

    def _waiting(self) -> wire.Waiting:
        ids = tuple(life.record.id for life in self.service.lives)
        return wire.Waiting(os.getpid(), ids, self.service.pools.counts())

    def _quit(self, request: wire.Quit) -> None:
        if len(self.service.lives) and not request.force:
            raise RunError("instances run", hint="oslet ps lists them")
        for life in self.service.lives:  # all at once, since the kernel takes its time for each
            with suppress(RunError):
                self.service.doom(life)
        for life in self.service.lives:
            self.service.stop(wire.Stop(life.record.id, 0, remove=life.record.remove))
        self.ending = True
        os.eventfd_write(self._bell, 1)


@contextmanager
def _given(fds: tuple[int, ...]) -> Iterator[Stdio]:
    """A client's descriptors, until the instance has them."""
    try:
        yield (fds[0], fds[1], fds[2]) if len(fds) == 3 else None
    finally:
        wire.close(fds)
