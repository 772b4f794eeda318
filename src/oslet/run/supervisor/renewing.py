"""Renewing: an instance ends and begins again in another slot, with its id, its name and its ports; because its policy
says so, or because somebody asked, perhaps with other arguments.

What it is to begin again with is kept by the keeper (``ID/next``), then it stands in its record (``again``), and only
then its process is ended: whenever the supervisor is killed, the next one finds what was begun, and goes on with it.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from oslet.errors import OsletError, RunError
from oslet.run import records, wire
from oslet.run.net.ports import claim
from oslet.run.records import Record
from oslet.run.supervisor import lives as living
from oslet.run.supervisor import preparing, slots
from oslet.run.supervisor.deciding import Asked
from oslet.run.supervisor.deciding import record as record_of
from oslet.run.supervisor.keeper import Keeper
from oslet.run.supervisor.lives import Life
from oslet.run.supervisor.slots import Slot

if TYPE_CHECKING:
    from oslet.run.supervisor.service import Service


def remember(keeper: Keeper, life: Life, what: str = "asked", start: wire.Start | None = None) -> None:
    """Have the request outlive this process: secrets are in it, so in memory only."""
    file = os.memfd_create(what, os.MFD_CLOEXEC)
    try:
        os.write(file, msgspec.json.encode(start or life.asked))
        keeper.keep(f"{life.record.id}/{what}", file)
    finally:
        os.close(file)


def known(folder: Path, record: Record, kept: dict[str, int]) -> tuple[Record, wire.Start | None]:
    """What an earlier supervisor left of an instance that it was to begin again: its record as it is to be from now on,
    and what it was asked to be."""
    asked, following = (_read(kept.pop(f"{record.id}/{what}", None)) for what in ("asked", "next"))
    if following and following.token in (record.token, record.again):
        asked = following
    now = record
    if asked is None:  # its keeper and its supervisor were killed together, and what it was asked with is lost
        now = replace(now, restart="no", again="")
    if now.again and not records.there(now):
        now = replace(now, restarting=True)
    elif now.again == now.token and slots.became(now.pid):
        now = replace(now, again="")  # it has been: only that wasn't written down
    if now != record:
        records.write(folder, now)
    return now, asked


def _read(file: int | None) -> wire.Start | None:
    if file is None:
        return None
    try:
        return msgspec.json.decode(os.pread(file, wire.MOST, 0), type=wire.Start)
    finally:
        os.close(file)


def renew(service: Service, asked: wire.Restart) -> Life:
    """End an instance and have it begin again, or, ``later``, know with what. DeclarationError or RunError for what it
    can't be, with nothing ended; RunError, too, if it turns out only then that it can't begin."""
    record = records.find(service.state, asked.ref)[1]
    life = service.lives.get(record.id)
    if life is None:
        raise RunError(f"{record.name} has ended", hint="oslet run starts another")
    with life.renewing:
        if asked.token not in (life.record.token, life.record.again):
            _mark(service, life, asked)
        if not asked.later:
            ending = life.record
            if ending.token != asked.token:
                finish(ending, asked.grace)
            life.renewed.wait()
        if life.failure:
            raise life.failure
    if life.ended.is_set():
        raise RunError(f"{record.name} has ended meanwhile")
    return life


def _mark(service: Service, life: Life, asked: wire.Restart) -> None:
    """Let it be known, and be known to the next supervisor, that it is to begin again and with what."""
    name = life.record.name
    if life.record.attached:
        raise RunError(
            f"{name} is its caller's, in the foreground", hint="only what runs in the background (-d) begins again"
        )
    if life.record.watcher:
        raise RunError(f"{name} is watched, and a watch ends with what it is of", hint="stop it, and start another")
    if life.asked is None:
        raise RunError(f"what {name} was asked with is lost: supervisor and keeper were killed together")
    start = _changed(life.asked, asked)
    decided = _decided(service, life.record, start)
    for port in set(decided.published) - set(life.record.published):
        claim(port, lambda _: "").close()
    with life.beginning:
        if life.stopping or life.ended.is_set():
            raise RunError(f"{name} has ended", hint="oslet run starts another")
        life.failure = None
        if asked.later:
            life.asked = start
            remember(service.keeper, life)
            return
        remember(service.keeper, life, "next", start)
        life.asked = start
        life.record = replace(life.record, again=asked.token)
        life.renewed.clear()
        records.write(life.folder, replace(life.record, restarting=not records.there(life.record)))
        life.halted.set()  # one that waits to begin again waits no longer


def _changed(start: wire.Start, asked: wire.Restart) -> wire.Start:
    env = dict(start.wish.env)
    for name, value in asked.env.items():
        if not name or "=" in name or "\0" in name + (value or ""):
            raise RunError(f"{name[:60]!r} is no variable's name, or its value holds a NUL byte")
        if value is not None:
            env[name] = value
        elif env.pop(name, None) is None:
            raise RunError(f"{name!r} was set by no --env", hint="what the image sets can be set to something else")
    wish = start.wish._replace(env=tuple(env.items()))
    if member := wish.membership:  # what its stack asks for it is no more: the next `up` has to see that
        gone = {part for part, changed in (("arguments", asked.arguments), ("settings", asked.env)) if changed}
        kept = tuple(mark for mark in member.marks if mark[0] not in gone)
        wish = wish._replace(membership=replace(member, marks=kept))
    arguments = {**start.arguments, **asked.arguments}
    return replace(start, arguments=arguments, wish=wish, token=start.token if asked.later else asked.token)


def _decided(service: Service, record: Record, start: wire.Start) -> Asked:
    """The ports of this machine are those that it has, unless its own are others."""
    asked = service.decisions.decide(start)
    same = tuple(int(port) for port in asked.contract.ports) == record.ports
    return asked._replace(published=record.published) if same else asked


def finish(record: Record, grace: float) -> None:
    """End an instance's process: its stop signal, ``grace`` seconds, SIGKILL; the keeper tells of its end."""
    from oslet.run.living import signal_number

    try:
        process = os.pidfd_open(record.pid)
    except OSError:
        return
    try:
        if grace > 0:
            living.kill(record, signal_number(record.stop_signal))
            poll = select.poll()
            poll.register(process, select.POLLIN)
            if poll.poll(1000 * grace):
                return
        living.kill(record, signal.SIGKILL)
    finally:
        os.close(process)


def begin(service: Service, life: Life, pause: float) -> None:
    """Begin again what has ended, after ``pause`` seconds; or write down its end, if it can't."""
    if life.asked is None or (life.halted.wait(pause) and life.stopping):
        records.end(life.folder, life.code)
        return service.close(life)
    slot: Slot | None = None
    start = life.asked
    try:
        asked = _decided(service, life.record, start)
        layout = service.decisions.layout(asked, life.record.name)
        slot = service.pools.take(layout)
        if slot is None:
            preparing.prepare(service, asked, layout)
            slot = service.filling.fill(asked.facts, layout, life.record.name)
        with life.beginning:
            if life.stopping:
                raise RunError("it is to end")
            current = life.asked is start
            if current:
                _again(service, life, asked, slot)
    except (OsletError, OSError) as error:
        if slot:
            service.filling.spill(slot)
        _failed(service, life, error)
    else:
        if not current:  # it was asked meanwhile to be something else
            service.filling.spill(slot)
            begin(service, life, 0)


def _failed(service: Service, life: Life, error: OsletError | OSError) -> None:
    if life.record.again:
        life.failure = error if isinstance(error, OsletError) else RunError(f"it can't begin again: {error.strerror}")
        life.record = replace(life.record, again="")
        remember(service.keeper, life)
    service.end(life, life.code if life.stopping else 126)
    life.renewed.set()


def _again(service: Service, life: Life, asked: Asked, slot: Slot) -> None:
    """Let a life go on in another slot. Until that has become the application its record says that it is to be."""
    before = life.record
    service.furnish(asked, slot, before.name)
    for captured, stream in zip(slot.captured, (records.STDOUT, records.STDERR)):
        captured.into(life.folder / stream)
    record = replace(
        record_of(asked, slot, before.name),
        id=before.id,
        created=before.created,
        restarts=before.restarts + (not before.again),
        again=before.again,
    )
    service.wiring.open(record)
    with suppress(OSError):
        (life.folder / records.HEALTH).unlink()
    records.write(life.folder, record)
    shutil.rmtree(records.folders(service.state) / slot.id)  # only now: until then it tells whose the cgroups are
    service.lives.again(life, record, slot)
    service.take(asked, slot, record, None)
    life.halted.clear()
    if before.again:
        life.record = replace(record, again="")
        records.write(life.folder, life.record)
        remember(service.keeper, life)
        service.keeper.drop(f"{record.id}/next")
        life.renewed.set()
