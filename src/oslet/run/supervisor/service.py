"""The service: what each request of a client is answered with."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from oslet.codec import canonical
from oslet.errors import RunError
from oslet.model.oslet import Exec
from oslet.run import cloning, config, network, placing, records, snapshots, watching, wire
from oslet.run.asking import Clone
from oslet.run.health import answers, healthy
from oslet.run.living import GRACE
from oslet.run.records import Record
from oslet.run.supervisor import carriers, machines, preparing, renewing, slots, sweeping, visiting
from oslet.run.supervisor import lives as living
from oslet.run.supervisor.capture import Captured
from oslet.run.supervisor.deciding import Asked, Decisions, hostname
from oslet.run.supervisor.deciding import record as record_of
from oslet.run.supervisor.events import Events
from oslet.run.supervisor.filling import Filling, Given
from oslet.run.supervisor.keeper import Death, Keeper
from oslet.run.supervisor.launch import Launch
from oslet.run.supervisor.lives import Life, Lives
from oslet.run.supervisor.pools import Pools
from oslet.run.supervisor.probing import Probing
from oslet.run.supervisor.slots import Slot
from oslet.run.supervisor.wiring import Wiring

_TAKEN_DOWN = 10.0
"""Seconds that the kernel may take to end an instance that was killed."""
_TRIES = 8
"""How often a free port may turn out to be taken."""
Stdio = tuple[int, int, int] | None


class Service:
    """Makes, watches and ends instances. Its methods are called by several threads."""

    def __init__(self, state: Path, given: Given, keeper: Keeper, captures: Callable[[Captured], None]) -> None:
        self.state = state
        self.runtime = state / "runtime"
        self.given = given
        self.keeper = keeper
        self.lives = Lives(state)
        self.wiring = Wiring(state, keeper, given.slirp4netns)
        self.decisions = Decisions(given.outer)
        self.filling = Filling(state, given, keeper, self.wiring)
        self.pools = Pools(self.filling.spill)
        self.events = Events(state)
        self.execs: dict[int, threading.Event] = {}
        self.codes: dict[int, int] = {}
        self._visitors: dict[int, str] = {}
        self.processes: dict[str, int] = {}
        """Descriptors, by id, of instances that the keeper had no hold of; see ``orphans``."""
        self._captures = captures
        self.probing = Probing(self.lives, self.events, self._lives_well)

    # Volumes

    def copy(self, asked: wire.Copy) -> None:
        """A volume that begins as a copy of a folder. RunError while an instance has that one."""
        self._at_rest(asked.source)
        cloning.clone(Path(asked.source), Path(asked.target), Path(asked.data))

    def _at_rest(self, folder: str) -> None:
        """RunError for what an instance may be writing to: a clone is of one moment."""
        for life in self.lives:
            written = map(Path, life.record.volumes)
            if any(each.is_relative_to(folder) or Path(folder).is_relative_to(each) for each in written):
                name = life.record.name
                what = f"the volume {Path(folder).name} is in use by {name}"
                raise RunError(what, hint=f"oslet stop {name}, so that a clone of it is of one moment")

    # Starting

    def repeated(self, start: wire.Start) -> Life | None:
        """The instance that an earlier supervisor made of the same request, before its client had the answer."""
        return self.lives.asked(start.token)

    def start(self, asked: Asked, stdio: Stdio) -> tuple[Life, int | None]:
        """An instance, running; the other end of its terminal, if it is attached and has no ``stdio``."""
        start = asked.start
        name = self.lives.name(asked.name, bool(start.wish.name), start.token)
        slot = None
        try:
            layout = asked.layout if name == asked.name else self.decisions.layout(asked, name)
            begins = [v.host.of for v in layout.attached if isinstance(v.host, Clone)]
            changing = [folder for folder in begins if folder and not snapshots.within(folder)]
            for folder in changing:
                self._at_rest(folder)
            apart = start.wish.heard or (layout.hardware and start.wish.tty)
            slot = None if apart else self.pools.take(layout)
            if slot is None:
                preparing.prepare(self, asked, layout)
                slot = self.filling.fill(asked.facts, layout, name, watched=start.wish.watched)
            made = self._become(asked, slot, name, stdio)
        except BaseException:
            self.lives.unname(name)
            if slot:
                self.filling.spill(slot)
            raise
        if not apart and not layout.hardware and not changing and len(begins) == len(layout.attached):
            self.pools.expect(layout, partial(self.filling.fill, asked.facts, layout, asked.name))
        return made

    def _become(self, asked: Asked, slot: Slot, name: str, stdio: Stdio) -> tuple[Life, int | None]:
        """Make a slot the instance of that name: its files, its record, and then itself."""
        folder = records.folders(self.state) / slot.id
        start = asked.start
        life = Life(folder, record_of(asked, slot, name), start, slot)
        with life.beginning:
            try:
                self.furnish(asked, slot, name)
                if start.wish.restart != "no":
                    renewing.remember(self.keeper, life)
                self._open(asked, life)
                os.write(slot.record, canonical(life.record))
                self.lives.add(life)
                return life, self.take(asked, slot, life.record, stdio)
            except BaseException:
                self.lives.close(life)
                self.keeper.drop(f"{slot.id}/asked")
                raise

    def _open(self, asked: Asked, life: Life) -> None:
        """Let its ports answer; where one of the kernel's choice was taken meanwhile, another."""
        for _ in range(_TRIES):
            try:
                self.wiring.open(life.record)
                return
            except network.TakenError:
                others = network.published(asked.contract.ports, asked.start.wish.publish)
                if others == life.record.published:
                    raise
                life.record = replace(life.record, published=others)
        self.wiring.open(life.record)

    def take(self, asked: Asked, slot: Slot, record: Record, stdio: Stdio) -> int | None:
        if not asked.start.attached:
            for captured in slot.captured:
                self._captures(captured)
            stdio = (slots.null(), slot.writing[0], slot.writing[1])
        launch = asked.facts.becoming(asked, waits=slot.waits)
        carried = None if slot.waits else slot.cable
        return slot.take(launch._replace(env=record.env, stdio=stdio, carried=carried))

    def furnish(self, asked: Asked, slot: Slot, name: str) -> None:
        facts = asked.facts
        slot.call(hostname(name), asked.network)
        placing.add(slot.folder, facts.told(asked, hostname(name), slot), facts.index, facts.mapping)

    # Entering

    def running(self, ref: str) -> Life:
        """An instance that runs. RunError for others."""
        _, record = records.find(self.state, ref)
        life = self.lives.get(record.id)
        if life is None or not records.alive(record):
            raise RunError(f"{record.name} doesn't run", hint=f"oslet logs {record.name} has what it wrote")
        return life

    def visit(self, asked: wire.Visit, stdio: Stdio) -> tuple[int, int | None]:
        """Tools beside an instance: their pid, and the other end of their terminal. RunError if they can't be run."""
        life, like = self.running(asked.ref), self.decisions.decide(asked.like)
        if life.record.vmm:
            raise RunError(
                f"{life.record.name} is a microVM, whose processes and files are its own kernel's",
                hint="oslet exec runs a command of the image in it; oslet inspect tells of its processes",
            )
        slot, launch = visiting.visit(life.record, like, self.runtime, self.given.crun, self.given.outer)
        self.execs[slot.pid], self._visitors[slot.pid] = threading.Event(), slot.id
        try:
            return slot.pid, slot.take(launch._replace(stdio=stdio))
        except RunError:
            self.execs.pop(slot.pid, None)
            raise

    def enter(self, asked: wire.Exec, stdio: Stdio) -> tuple[int, int | None]:
        """One more command in an instance: its pid, and the other end of its terminal. RunError if it can't be run."""
        life = self.running(asked.ref)
        record = life.record
        user = asked.user or (record.uid, record.gid)
        env = {**dict(record.env), **dict(asked.env)}
        launch = Launch(asked.command, tuple(env.items()), asked.workdir or record.workdir, stdio)
        if not record.vmm:
            return self._enter(life, launch, user)
        return self._enter(life, machines.inside(launch, user, asked.tty), (record.uid, record.gid))

    def _enter(self, life: Life, launch: Launch, user: tuple[int, int]) -> tuple[int, int | None]:
        """One more process in an instance's sandbox."""
        record = life.record
        process = config.process(config.Process(("/proc/self/fd/4",), (), "/", *user, capabilities=record.capabilities))
        try:
            slot = slots.enter(record.slot, process, self.runtime, self.given.crun, life.groups)
        except RunError as error:
            if not records.alive(record):
                raise RunError(f"{record.name} has ended") from None
            raise error
        self.execs[slot.pid] = threading.Event()
        try:
            return slot.pid, slot.take(launch)
        except RunError:
            self.execs.pop(slot.pid, None)
            raise

    def carry(self, asked: wire.Carry, stdio: tuple[int, int, int]) -> int:
        """Carry an instance's files to or from a client's streams; an exit code. RunError if nobody can."""
        life = self.running(asked.ref)
        if not life.record.vmm:
            return os.waitstatus_to_exitcode(os.waitpid(carriers.start(life.record, asked, stdio), 0)[1])
        launch = Launch(machines.carrying(asked), (), "/", stdio)
        pid, _ = self._enter(life, launch, (life.record.uid, life.record.gid))
        return self.ended(pid)

    def ended(self, pid: int) -> int:
        """The exit code of a process that entered an instance, once it has one."""
        if event := self.execs.get(pid):
            event.wait()
        return self.codes.pop(pid, 137)

    def well(self, asked: wire.Probe) -> bool:
        """Whether an instance answers at its own address."""
        _, record = records.find(self.state, asked.ref)
        if not (record.plug and self.lives.get(record.id)):
            return False
        port = asked.health.port or next((str(p) for p in record.ports), "")
        if not port:
            raise RunError(f"{record.name} has no port to ask for its health", hint="declare one, or health = { exec }")
        with self.wiring.socket() as connection:
            return answers(connection, (record.plug.address, int(port)), asked.health)

    def _lives_well(self, life: Life) -> bool:
        health = life.record.health
        if life.record.plug and not isinstance(health, Exec | None):
            return self.well(wire.Probe(life.record.id, health))
        return healthy(self.state, life.record.id)

    # Ending

    def died(self, death: Death) -> None:
        """A process that the keeper had to reap: an instance, a command in one, a slot, or nothing of ours any more."""
        life = self.lives.of(death.pid)
        if life and life.record.watcher:  # it has to write down all that it heard, first
            threading.Thread(target=self._ended, args=(life, death), daemon=True).start()
            return
        if life:
            with life.beginning:
                if not life.ended.is_set():
                    self.end(life, death.code)
        elif event := self.execs.pop(death.pid, None):
            self.codes[death.pid] = death.code
            if visitor := self._visitors.pop(death.pid, ""):
                shutil.rmtree(self.runtime / visitor, ignore_errors=True)
            event.set()
        elif slot := self.pools.lost(death.pid):
            self.filling.spill(slot)
        self.keeper.bury(death)

    def _ended(self, life: Life, death: Death) -> None:
        watching.finish(life.record.watcher)
        self.end(life, death.code)
        self.keeper.bury(death)

    def end(self, life: Life, code: int) -> None:
        """An instance's process has ended: start it again, if that is wished, or write down its end."""
        life.code = code
        self.lives.ended(life)
        living.clear(life, self.keeper.drop)
        self.lives.remove(self.runtime / life.record.slot)
        self.wiring.close(life.record.plug)
        pause = life.pause()
        if pause is not None:
            self.events.tell("restart", life.record, code=code)
            records.write(life.folder, replace(life.record, restarting=True))
            threading.Thread(target=renewing.begin, args=(self, life, pause), daemon=True).start()
            return
        records.end(life.folder, code)
        self.close(life)

    def close(self, life: Life) -> None:
        for what in ("asked", "next", "process"):
            self.keeper.drop(f"{life.record.id}/{what}")
        self.events.tell("exit", life.record, code=life.code)
        if life.record.remove and not life.record.attached:
            self.lives.remove(life.folder)
        else:
            self.lives.left(life.record, life.folder)
        self.lives.close(life)

    def stop(self, asked: wire.Stop) -> int:
        """End an instance, if it hasn't; its exit code."""
        folder, record = records.find(self.state, asked.ref)
        if life := self.lives.get(record.id):
            self.doom(life, _number(record.stop_signal) if asked.grace > 0 else signal.SIGKILL)
            if not life.ended.wait(asked.grace):
                living.kill(life.record, signal.SIGKILL)
                life.ended.wait(_TAKEN_DOWN)
        code = records.observe(folder, record).exit_code
        if asked.remove or record.remove:
            shutil.rmtree(folder, ignore_errors=True)
        return 137 if code is None else code

    def doom(self, life: Life, number: int = signal.SIGKILL) -> None:
        """Let a life end by a signal, and not begin again."""
        life.stopping = True
        life.halted.set()
        with life.beginning:  # one that is just being begun again is ended once it has
            living.kill(life.record, number)

    # Going on

    def adopt(self) -> None:
        """Take over what an earlier supervisor left: instances that run, and the remains of what was being made."""
        kept = dict(self.keeper.kept)
        for folder, record in records.records(self.state):
            if (process := kept.pop(f"{record.id}/process", None)) is not None:
                self.processes[record.id] = process
            over = record.boot != records.boot() or (folder / records.EXIT).exists()
            if over or not (record.restarting or record.again or records.there(record)):
                if record.remove and not record.attached:
                    self.lives.remove(folder)
                else:
                    self.lives.left(record, folder)
                continue
            if not (record.restarting or record.restarts or record.again or slots.became(record.pid)):
                (folder / records.RECORD).unlink()  # its client had no answer, and asks again
                continue
            record, asked = renewing.known(folder, record, kept)
            life = Life(folder, record, asked)
            for short, stream in (("out", records.STDOUT), ("err", records.STDERR)):
                if (pipe := kept.pop(f"{record.slot}/{short}", None)) is not None:
                    life.captured.append(Captured(pipe, folder / stream))
                    self._captures(life.captured[-1])
            self.lives.add(life)
        for name, fd in kept.items():
            if not name.startswith("network/"):
                self.keeper.drop(name)
                os.close(fd)
        self.wiring.adopt([life.record for life in self.lives if not life.record.restarting])
        sweeping.sweep(self.state, {life.record.slot for life in self.lives})
        for life in self.lives:  # only now: the next sandbox of one isn't to be swept away
            if life.record.restarting and not records.there(life.record):
                self.end(life, life.code)  # else the keeper has yet to tell of the end before
            elif life.record.again:
                threading.Thread(target=renewing.finish, args=(life.record, GRACE), daemon=True).start()


def _number(name: str) -> int:
    from oslet.run.living import signal_number

    return signal_number(name)
