"""As a program: ``python -m oslet.run.supervisor STATE``, started by the keeper, with its socket and the door's.

One thread listens to everything. What takes long (making a sandbox, stopping an instance) has a thread of its own; a
start that finds a slot waiting is answered at once.
"""

from __future__ import annotations

import gc
import os
import select
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from oslet.codec import decode
from oslet.errors import OsletError, RunError
from oslet.run import records, wire
from oslet.run.keeping import SETTINGS, Settings
from oslet.run.supervisor import carriers, orphans, preparing, worded
from oslet.run.supervisor import lives as living
from oslet.run.supervisor.capture import Captured
from oslet.run.supervisor.deciding import Asked
from oslet.run.supervisor.filling import Given
from oslet.run.supervisor.keeper import LISTENING, Death, Keeper
from oslet.run.supervisor.lives import Life
from oslet.run.supervisor.service import Service, Stdio

_IDLE = 30.0
"""Seconds after which a supervisor of nothing ends."""
_TICK = 1.0
_RETURN = 10.0
"""Seconds that a client has to come back to its instance after a supervisor was killed."""


class Supervisor:
    """The loop over everything that may be heard from."""

    def __init__(self, state: Path, keeper: Keeper) -> None:
        found = decode((state / SETTINGS).read_bytes(), Settings, where=SETTINGS)
        given = Given(Path(found.crun), Path(found.slirp4netns) if found.slirp4netns else None, found.outer)
        self._poll = select.epoll()
        self._heard: dict[int, Callable[[], None]] = {}
        self._door = socket.socket(fileno=LISTENING)
        self._keeper: Keeper | None = keeper
        self._busy = 0
        self._last = time.monotonic()
        self.service = Service(state, given, keeper, self._capture)
        (state / "runtime").mkdir(exist_ok=True)
        records.folders(state).mkdir(exist_ok=True, mode=0o700)
        self._ending = False
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        """Rung when there is to be an end."""
        self._next = 0.0

    def run(self) -> None:
        self.service.adopt()
        self._hear(self._door.fileno(), self._admit)
        assert self._keeper
        self._hear(self._keeper.fileno(), self._bury)
        self._hear(self._bell, lambda: None)
        for life in self.service.lives:
            if orphans.orphaned(life.record):
                self._orphan(life)
            if life.record.attached:
                returned = threading.Timer(_RETURN, self._left, (life,))
                returned.daemon = True
                returned.start()
        self._keeper.lives()
        while not self._ending:
            for descriptor, _ in self._poll.poll(_TICK, 64):
                if heard := self._heard.get(descriptor):
                    heard()
            self._look()
        self.service.pools.close()
        self.service.wiring.shut()
        self.service.lives.shut()

    def _left(self, life: Life) -> None:
        """End an instance whose client went away while no supervisor was there to see it."""
        if not life.held:
            self.service.stop(wire.Stop(life.record.id, 10.0, remove=True))

    def _hear(self, descriptor: int, what: Callable[[], None]) -> None:
        self._heard[descriptor] = what
        self._poll.register(descriptor, select.EPOLLIN | select.EPOLLRDHUP)

    def _unhear(self, descriptor: int) -> None:
        if self._heard.pop(descriptor, None):
            with suppress(OSError):
                self._poll.unregister(descriptor)

    def _look(self) -> None:
        """What has to be looked after now and then."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _TICK / 2
        if len(self.service.lives) or self._busy or self.service.pools.asked:
            self._last = now
        self._ending = self._ending or now - self._last > _IDLE
        self.service.pools.trim()
        self.service.wiring.tend()
        if self._keeper and gone(self.service.state):
            self._ending = True
            abandon(self._keeper)
        if self._keeper is None:
            for life in self.service.lives:
                if not records.there(life.record):
                    self.service.end(life, 137)

    def _capture(self, captured: Captured) -> None:
        def carry() -> None:
            if not captured.carry():
                self._unhear(captured.pipe)

        self._hear(captured.pipe, carry)

    def _bury(self) -> None:
        assert self._keeper
        if death := self._keeper.died():
            life = self.service.lives.of(death.pid)
            for captured in life.captured if life else ():
                self._unhear(captured.pipe)
            self.service.died(death)
        else:
            self._unhear(self._keeper.fileno())
            self._bequeath(self._keeper)

    def _bequeath(self, keeper: Keeper) -> None:
        """The keeper was killed. Another one takes its place, and another supervisor, its child, this one's: what this
        one makes would not become the new keeper's."""
        self._keeper = None
        try:
            for life in self.service.lives:
                if (process := orphans.held(life.record)) >= 0:
                    keeper.keep(f"{life.record.id}/process", process)
                    os.close(process)
            keeper.bequeath(self.service.state)
        except (OSError, RunError) as error:
            print(f"the keeper was killed, and there is no other: {error}", file=sys.stderr)
        else:
            os._exit(1)

    def _orphan(self, life: Life) -> None:
        """Hear of an end of which the keeper doesn't tell."""
        process = self.service.processes.pop(life.record.id, -1)
        process = orphans.held(life.record) if process < 0 else process
        if process < 0:
            return self.service.died(Death(life.record.pid, 137))

        def ended() -> None:
            self._unhear(process)
            self.service.died(Death(life.record.pid, orphans.code(process)))
            os.close(process)

        return self._hear(process, ended)

    # Clients

    def _admit(self) -> None:
        connection, _ = self._door.accept()
        connection.settimeout(10)
        self._hear(connection.fileno(), lambda: self._serve(connection))

    def _serve(self, connection: socket.socket) -> None:
        self._unhear(connection.fileno())
        try:
            read = wire.read_request(connection)
        except (OSError, ValueError) as error:
            return self._answer(connection, RunError(f"the request can't be read: {error}"))
        if read is None:
            return connection.close()
        self._last = time.monotonic()
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
        self._busy += 1
        threading.Thread(target=self._apart, args=(connection, request, fds), daemon=True).start()
        return None

    def _apart(self, connection: socket.socket, request: wire.Request, fds: tuple[int, ...]) -> None:
        try:
            self._do(connection, request, fds)
        finally:
            self._busy -= 1

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
        return self._attach(connection, life, held=True) if asked.start.attached else connection.close()

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
        event = service.execs.get(pid)
        instance = records.observe(*records.find(service.state, request.ref))
        wire.send(connection, wire.Started(replace(instance, pid=pid)), () if terminal is None else (terminal,))
        if terminal is not None:
            os.close(terminal)
        if event:
            event.wait()
        self._answer(connection, wire.Ended(service.codes.pop(pid, 137)))

    def _carry(self, request: wire.Carry, fds: tuple[int, ...]) -> int:
        with _given(fds) as stdio:
            if stdio is None:
                raise RunError("a copy comes with three descriptors")
            carrier = carriers.start(self.service.running(request.ref).record, request, stdio)
        return os.waitstatus_to_exitcode(os.waitpid(carrier, 0)[1])

    def _wait(self, connection: socket.socket, request: wire.Wait) -> None:
        folder, record = records.find(self.service.state, request.ref)
        if life := self.service.lives.get(record.id):
            return self._attach(connection, life, held=request.attached, grace=request.grace)
        return self._over(connection, records.observe(folder, record).exit_code or 0, folder)

    def _attach(self, connection: socket.socket, life: Life, *, held: bool, grace: float = 10.0) -> None:
        """Tell the connection of the life's end; a ``held`` one ends with its client."""

        def told() -> None:
            life.ended.wait()
            self._unhear(descriptor)
            self._over(connection, life.code, life.folder)

        def heard() -> None:
            if isinstance(connection, wire.Plain) and (numbers := connection.signals()):
                for number in numbers:
                    living.kill(life.record, number)
                return
            self._unhear(descriptor)
            if held and not life.ended.is_set():
                stop = wire.Stop(life.record.id, grace, remove=True)
                threading.Thread(target=self.service.stop, args=(stop,), daemon=True).start()

        life.held |= held
        descriptor = connection.fileno()
        self._hear(descriptor, heard)
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
        preparing.prepare(service, asked, asked.layout)
        fill = partial(service.filling.fill, asked.facts, asked.layout, asked.name)
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
            self._unhear(connection.fileno())
            connection.close()
            service.pools.release(lease)

        return self._hear(connection.fileno(), gone)

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
        self._ending = True
        os.eventfd_write(self._bell, 1)


@contextmanager
def _given(fds: tuple[int, ...]) -> Iterator[Stdio]:
    """A client's descriptors, until the instance has them."""
    try:
        yield (fds[0], fds[1], fds[2]) if len(fds) == 3 else None
    finally:
        wire.close(fds)


def gone(state: Path) -> bool:
    """Whether the folder was removed, or another one is in its place: the keeper and all it starts work in the old."""
    try:
        return not state.samefile(".")
    except OSError:
        return True


def abandon(keeper: Keeper) -> None:
    """End what nobody could find any more."""
    orphans.abandon()
    keeper.forget()


def main(state: str) -> None:
    gc.freeze()
    gc.set_threshold(100_000)  # what is made for a start is gone after it, without cycles
    sys.setswitchinterval(0.0005)  # a start is not to wait 5 ms for a thread that fills a pool
    threading.stack_size(256 << 10)
    os.set_inheritable(LISTENING, False)
    keeper = Keeper()
    if gone(Path(state)):
        abandon(keeper)
    else:
        Supervisor(Path(state), keeper).run()
    os._exit(0)  # threads that wait for clients are nobody's to wait for


if __name__ == "__main__":
    main(*sys.argv[1:])
