"""Lives: the instances that run, by id and by pid, until their end is written down."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from oslet.errors import OsletError, RunError
from oslet.run import limits, records
from oslet.run.config import PLACE
from oslet.run.limits import CGROUPS
from oslet.run.records import Record
from oslet.run.supervisor.capture import Captured
from oslet.run.supervisor.slots import Slot
from oslet.run.wire import Start

_BACKOFF, _LONGEST = 0.1, 60.0
"""Seconds before a first restart, which double each time, and the most."""
_STEADY = 10.0
"""Seconds after which a life counts as a success, so that its end is the first again."""


class Life:
    """One instance from its take to its last end."""

    def __init__(self, folder: Path, record: Record, asked: Start | None, slot: Slot | None = None) -> None:
        self.folder = folder
        self.record = record
        self.asked = asked
        self.captured: list[Captured] = slot.captured if slot else []
        self.plug: Any = slot.plug if slot else None
        self.ended = threading.Event()
        self.code = 137
        self.stopping = False
        self.held = False
        self.halted = threading.Event()
        self.beginning = threading.Lock()
        """Held while it is being made: an end that comes meanwhile waits."""
        self.renewing = threading.Lock()
        """Held by a request to begin it again: one at a time."""
        self.renewed = threading.Event()
        """Unset while it is to begin again because somebody asked; then ``failure`` says why it couldn't."""
        self.failure: OsletError | None = None
        if not record.again:
            self.renewed.set()
        self.since = time.monotonic()
        self.failures = 0

    @property
    def groups(self) -> tuple[Path, ...]:
        """Its cgroups, where the supervisor has them."""
        return tuple(Path(PLACE, "cgroup", Path(group).relative_to(CGROUPS)) for group in self.record.cgroups)

    def pause(self) -> float | None:
        """Seconds until it is to be started again, or None if it is not."""
        policy = self.record.restart
        if self.stopping or self.asked is None:
            return None
        if self.record.again:
            return 0.0
        if policy == "no" or (policy == "on-failure" and not self.code):
            return None
        self.failures = 0 if time.monotonic() - self.since > _STEADY else self.failures + 1
        return float(min(_BACKOFF * 2 ** max(0, self.failures - 1), _LONGEST))


class Lives:
    """All of them. Threads share it; what is said of one is said under its lock."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.lock = threading.RLock()
        self._by_id: dict[str, Life] = {}
        self._by_pid: dict[int, Life] = {}
        self._by_token: dict[str, Life] = {}
        self._named: dict[str, str] = {}
        self._lowest: dict[str, int] = {}
        """The number from which on to look for one that is free, by made-up name."""
        self._ended: dict[str, list[tuple[float, Path]]] = {}
        """What ended instances left, by name: when they were created, and their folders."""
        self._rubbish: SimpleQueue[Path | None] = SimpleQueue()
        self._sweeper = threading.Thread(target=self._sweep, daemon=True)
        self._sweeper.start()

    def __iter__(self) -> Iterator[Life]:
        with self.lock:
            return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def name(self, wanted: str, given: bool, id: str) -> str:  # noqa: A002
        """Take a name: itself; a made-up one gets a number while another runs under it."""
        if (
            not wanted
            or "/" in wanted
            or wanted.startswith((".", "-"))
            or not wanted.isprintable()
            or len(wanted) > 200
        ):
            hint = "letters, digits, dots and dashes will do"
            raise RunError(f"{wanted!r} is no name for an instance", hint=hint)
        with self.lock:
            if given and wanted in self._named:
                hint = f"oslet stop {wanted}, or give another --name"
                raise RunError(f"an instance {wanted!r} runs already", hint=hint)
            number, name = self._lowest.get(wanted, 2), wanted
            while name in self._named:
                name = f"{wanted}-{number}"
                number += 1
            if name != wanted:
                self._lowest[wanted] = number
            self._named[name] = id
            return name

    def _free(self, name: str) -> None:
        self._named.pop(name, None)
        base, _, number = name.rpartition("-")
        if number.isdecimal() and base in self._lowest:
            self._lowest[base] = max(2, min(self._lowest[base], int(number)))

    def unname(self, name: str) -> None:
        with self.lock:
            self._free(name)

    def add(self, life: Life) -> None:
        with self.lock:
            self._by_id[life.record.id] = life
            self._by_token[life.record.token] = life
            self._by_pid[life.record.pid] = life
            self._named[life.record.name] = life.record.id

    def again(self, life: Life, record: Record, slot: Slot) -> None:
        """The life goes on in another sandbox."""
        with self.lock:
            self._by_pid.pop(life.record.pid, None)
            life.record, life.since = record, time.monotonic()
            life.captured, life.plug = slot.captured, slot.plug
            self._by_pid[record.pid] = life

    def ended(self, life: Life) -> None:
        """Its process has; what the keeper may say of that pid again is no second end."""
        with self.lock:
            self._by_pid.pop(life.record.pid, None)

    def of(self, pid: int) -> Life | None:
        return self._by_pid.get(pid)

    def get(self, id: str) -> Life | None:  # noqa: A002
        return self._by_id.get(id)

    def asked(self, token: str) -> Life | None:
        return self._by_token.get(token)

    def close(self, life: Life) -> None:
        """Its last end: the name is free again, and who waits is told."""
        with self.lock:
            self._by_id.pop(life.record.id, None)
            self._by_token.pop(life.record.token, None)
            self._by_pid.pop(life.record.pid, None)
            if self._named.get(life.record.name) == life.record.id:
                self._free(life.record.name)
        life.ended.set()
        life.renewed.set()

    def left(self, record: Record, folder: Path) -> None:
        """An instance has ended, and left its folder."""
        with self.lock:
            self._ended.setdefault(record.name, []).append((record.created, folder))

    def discard(self, life: Life) -> None:
        """Remove what earlier instances of its name left, but their volumes, and not what quick ones did after it."""
        name, created = life.record.name, life.record.created
        with self.lock:
            left = self._ended.pop(name, [])
            if later := [each for each in left if each[0] >= created]:
                self._ended[name] = later
        self.remove(*(folder for when, folder in left if when < created))

    def remove(self, *folders: Path) -> None:
        """Remove folders when there is time: on a busy disk that takes longer than a start."""
        for folder in folders:
            self._rubbish.put(folder)

    def shut(self) -> None:
        """Return once all that was discarded is gone."""
        self._rubbish.put(None)
        self._sweeper.join()

    def _sweep(self) -> None:
        while folder := self._rubbish.get():
            shutil.rmtree(folder, ignore_errors=True)


def clear(life: Life, drop: Callable[[str], None]) -> None:
    """What an end leaves in the kernel: its cgroups, its pipes."""
    limits.remove(life.groups)
    for stream, captured in zip(("out", "err"), life.captured):
        captured.carry()
        captured.close()
        drop(f"{life.record.slot}/{stream}")
    life.captured = []


def kill(record: Record, number: int) -> None:
    """A signal to an instance's first process, if it is still that one. RunError if another keeper's user namespace, of
    which this process is no part, is around it."""
    import signal

    try:
        target = os.pidfd_open(record.pid)
    except OSError:
        return
    try:
        if records.began(record.pid) == record.pid_began:
            signal.pidfd_send_signal(target, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise RunError(f"{record.name} is in the user namespace of a keeper that was killed") from None
    finally:
        os.close(target)
