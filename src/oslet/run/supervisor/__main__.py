"""As a program: ``python -m oslet.run.supervisor STATE``, started by the keeper, with its socket and the door's.

One thread listens to everything. What takes long (making a sandbox, stopping an instance) has a thread of its own; a
start that finds a slot waiting is answered at once.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
import threading
import time
from pathlib import Path

from oslet.codec import decode
from oslet.errors import RunError
from oslet.run import records, wire
from oslet.run.keeping import SETTINGS, Settings
from oslet.run.supervisor import orphans
from oslet.run.supervisor.capture import Captured
from oslet.run.supervisor.filling import Given
from oslet.run.supervisor.hearing import Hearing
from oslet.run.supervisor.keeper import LISTENING, Death, Keeper
from oslet.run.supervisor.lives import Life
from oslet.run.supervisor.service import Service
from oslet.run.supervisor.serving import Serving

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
        self._hearing = Hearing()
        self._keeper: Keeper | None = keeper
        self.service = Service(state, given, keeper, self._capture)
        (state / "runtime").mkdir(exist_ok=True)
        records.folders(state).mkdir(exist_ok=True, mode=0o700)
        self._ending = False
        self._next = 0.0

    def run(self) -> None:
        self.service.adopt()
        self._serving = Serving(self.service, self._hearing, socket.socket(fileno=LISTENING))
        assert self._keeper
        self._hearing.hear(self._keeper.fileno(), self._bury)
        for life in self.service.lives:
            if orphans.orphaned(life.record):
                self._orphan(life)
            if life.record.attached:
                returned = threading.Timer(_RETURN, self._left, (life,))
                returned.daemon = True
                returned.start()
        self._keeper.lives()
        while not self._ending:
            self._hearing.listen(_TICK)
            self._look()
        self.service.pools.close()
        self.service.wiring.shut()
        self.service.lives.shut()

    def _left(self, life: Life) -> None:
        """End an instance whose client went away while no supervisor was there to see it."""
        if not life.held:
            self.service.stop(wire.Stop(life.record.id, 10.0, remove=True))

    def _look(self) -> None:
        """What has to be looked after now and then."""
        now = time.monotonic()
        serving = self._serving
        self._ending = serving.ending
        if now < self._next:
            return
        self._next = now + _TICK / 2
        if len(self.service.lives) or serving.busy or self.service.pools.asked:
            serving.last = now
        self._ending = self._ending or now - serving.last > _IDLE
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
        captured.unhear = self._hearing.unhear
        self._hearing.hear(captured.pipe, captured.carry)

    def _bury(self) -> None:
        assert self._keeper
        if death := self._keeper.died():
            self.service.died(death)
        else:
            self._hearing.unhear(self._keeper.fileno())
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
            self._hearing.unhear(process)
            self.service.died(Death(life.record.pid, orphans.code(process)))
            os.close(process)

        return self._hearing.hear(process, ended)


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
