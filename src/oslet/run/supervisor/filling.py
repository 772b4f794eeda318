"""Filling: slots with all that belongs to them outside the sandbox: a folder, pipes, a place in a network."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from oslet.errors import RunError
from oslet.run import ids, limits, placing, records, watching
from oslet.run.filters import beyond, filter_of
from oslet.run.supervisor import slots
from oslet.run.supervisor.capture import Captured
from oslet.run.supervisor.deciding import hostname
from oslet.run.supervisor.facts import Facts, Layout
from oslet.run.supervisor.keeper import Keeper
from oslet.run.supervisor.slots import Slot
from oslet.run.supervisor.templates import Templates
from oslet.run.supervisor.wiring import Wiring

_HEARD, _LINES = 1 << 16, 8


class Given(NamedTuple):
    """What this supervisor works with: programs, and the ids around it."""

    crun: Path
    slirp4netns: Path | None
    outer: ids.Outer


class Filling:
    """Makes slots, and ends those that are to become nothing."""

    def __init__(self, state: Path, given: Given, keeper: Keeper, wiring: Wiring) -> None:
        self.runtime = state / "runtime"
        self._state = state
        self._given = given
        self._keeper = keeper
        self._wiring = wiring
        self._templates = Templates(lambda facts, layout: self.fill(facts, layout, "template", parked=True), self.spill)

    def fill(self, facts: Facts, layout: Layout, name: str, *, watched: bool = False, parked: bool = False) -> Slot:
        """A slot with its folder, and its output's pipes in the keeper; called ``name``, as far as is known. One that
        is ``parked`` waits for a start that is to come."""
        layout = self._templates.of(facts, layout) if parked else layout
        number = secrets.token_hex(6)
        plug, netns = self._wiring.plug(layout.network, number)
        cable = self._wiring.bare(plug) if plug and layout.hardware else None
        layout = layout._replace(netns=netns, plug=plug)
        folder = records.folders(self._state) / number
        folder.mkdir(mode=0o700)
        watcher = 0
        filters = None
        try:
            if watched or layout.seccomp == "log":
                entries = facts.index.entries.values() if watched else None
                calls = beyond(layout.calls or ()) if layout.seccomp == "log" else None
                watcher = watching.listen(folder, entries, facts.root, layout.image, beyond=calls)
                filters = watching.heard(filter_of(layout.seccomp, layout.calls), folder, paths=watched)
            slot = slots.fill(number, facts, layout, self.runtime, self._given.crun, filters=filters)
        except BaseException:
            if cable is not None:
                os.close(cable)
            if watcher:
                os.kill(watcher, signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)
            self._wiring.close(plug)
            raise
        slot.watcher, slot.plug, slot.cable = watcher, plug, cable
        slot.record = records.blank(folder)
        slot.volumes = tuple(str(v.host) for v in layout.attached if isinstance(v.host, Path))
        slot.call(hostname(name), layout.network)
        self._streams(slot, folder, facts)
        try:
            if waiting := facts.waiting(layout, parked=parked):
                stdio = (slots.null(), slot.writing[0], slot.writing[1]) if layout.hardware else None
                slot.wait(waiting._replace(stdio=stdio, carried=slot.cable))
        except RunError:
            said = _said(slot)
            self.spill(slot)
            if layout.hardware:
                raise RunError(
                    "the guest doesn't begin to wait", hint="\n    ".join(["its last words:", *said])
                ) from None
            return self.fill(facts, layout._replace(warm=()), name)  # then it isn't warm, which is all that is wrong
        except BaseException:
            self.spill(slot)
            raise
        return slot

    def _streams(self, slot: Slot, folder: Path, facts: Facts) -> None:
        """Pipes for what it will write."""
        for short, stream in (("out", records.STDOUT), ("err", records.STDERR)):
            reading, writing = os.pipe()
            slot.writing.append(writing)
            # It may open /dev/stdout again, as servers that log there do: proc_pid_fd(5) asks for the pipe's owner.
            placing.own(writing, facts.image.uid, facts.image.gid, facts.mapping)
            self._keeper.keep(f"{slot.id}/{short}", reading)
            slot.captured.append(Captured(reading, folder / stream))

    def spill(self, slot: Slot) -> None:
        """End a slot that is not to become anything."""
        slot.close()
        for short, captured in zip(("out", "err"), slot.captured):
            captured.close()
            self._keeper.drop(f"{slot.id}/{short}")
        slot.captured = []
        shutil.rmtree(records.folders(self._state) / slot.id, ignore_errors=True)
        with suppress(OSError):
            os.kill(slot.pid, signal.SIGKILL)
        shutil.rmtree(self.runtime / slot.id, ignore_errors=True)
        deadline = time.monotonic() + 1
        while records.began(slot.pid) is not None and time.monotonic() < deadline:
            time.sleep(0.001)
        limits.remove(slot.groups)
        self._wiring.close(slot.plug)


def _said(slot: Slot) -> list[str]:
    """What a slot has written so far: lines for an error."""
    with suppress(OSError):
        return os.read(slot.captured[1].pipe, _HEARD).decode("utf-8", "replace").splitlines()[-_LINES:]
    return ["nothing"]
