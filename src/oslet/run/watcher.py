"""As a program: watches one instance. ``watching.listen`` starts it; these are its words:

    python -m oslet.run.watcher FOLDER ROOT IMAGE

Descriptor 3 is a listening socket, to which the OCI runtime brings the descriptor of each filter it loads (config-
linux.md, listenerPath): the instance's own and those of commands in it. FOLDER is the instance's, and has the tree's
paths in ``watch.paths``; what was used goes to ``watch.json``. ROOT is that tree on disk. It ends once
no process is left under any of the filters.

It is evidence, not a guard: a process that changes a path while the kernel reads it deceives only this record. Every
call is let go on, whatever happens here. If this program dies, the calls it is told of fail with ENOSYS; none waits.
"""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import suppress
from pathlib import Path
from socket import SOL_SOCKET, socket

from msgspec.structs import replace

from oslet.codec import canonical
from oslet.model.tree import Entry
from oslet.model.watch import Beyond, Watched
from oslet.run import notices, syscalls
from oslet.run.ledger import Ledger, Who
from oslet.run.notices import Notice
from oslet.run.syscalls import Call

LISTENING = 3
PATHS, BEYOND, RECORD = "watch.paths", "watch.calls", "watch.json"
_PAUSE = 0.2
"""Seconds between two writings of the record, at least."""
_SHARE = 20
"""Writing takes at most one in so many of this process's seconds."""
_STATE = 1 << 16
"""Bytes of what the runtime says with a descriptor: the instance's state, which isn't needed."""


class Watcher:
    """The loop over everything that may be heard from."""

    def __init__(self, folder: Path, root: str, image: str) -> None:
        self.ledger = Ledger(paths(folder / PATHS), root)
        self._record = folder / RECORD
        self._image = image
        self._beyond = beyond(folder / BEYOND)
        self._used: dict[int, Beyond] | None = None if self._beyond is None else {}
        self._calls = syscalls.by_number(os.uname().machine)
        self._poll = select.poll()
        self._filters: set[int] = set()
        self._visitors: dict[int, socket] = {}
        self._due = 0.0

    def watch(self, door: socket) -> None:
        """Until the instance's filter, and those of commands in it, hold nobody any more."""
        self._poll.register(door, select.POLLIN)
        while True:
            wait = max(0.0, self._due - time.monotonic()) * 1000 if self.ledger.changed else None
            before = len(self._filters)
            for descriptor, event in self._poll.poll(wait):
                if descriptor in self._filters:
                    self._hear(descriptor, event)
                elif descriptor == door.fileno():
                    self._admit(door)
                else:
                    self._take(descriptor)
            ended = bool(before) and not self._filters
            if ended or (self.ledger.changed and time.monotonic() >= self._due):
                self.write(ended=ended)
            if ended:
                return

    def write(self, *, ended: bool) -> None:
        """Atomic: a reader sees the old record or the new one."""
        began = time.monotonic()
        fresh = self._record.with_suffix(".new")
        beyond = None if self._used is None else tuple(self._used.values())
        fresh.write_bytes(canonical(Watched(self._image, self.ledger.uses(), ended, beyond)))
        fresh.replace(self._record)
        self.ledger.changed = False
        done = time.monotonic()
        self._due = done + max(_PAUSE, _SHARE * (done - began))

    def _admit(self, door: socket) -> None:
        with suppress(OSError):
            visitor, _ = door.accept()
            self._visitors[visitor.fileno()] = visitor
            self._poll.register(visitor, select.POLLIN)

    def _take(self, descriptor: int) -> None:
        """A filter's descriptor from the runtime, or its goodbye."""
        from socket import CMSG_LEN, SCM_RIGHTS

        visitor = self._visitors[descriptor]
        try:
            said, sent, _, _ = visitor.recvmsg(_STATE, CMSG_LEN(16))
        except OSError:
            said, sent = b"", []
        for level, kind, data in sent:
            if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
                for at in range(0, len(data) - 3, 4):
                    held = int.from_bytes(data[at : at + 4], sys.byteorder)
                    notices.prepare(held)
                    self._filters.add(held)
                    self._poll.register(held, select.POLLIN)
        if not said:
            self._poll.unregister(descriptor)
            self._visitors.pop(descriptor).close()

    def _hear(self, descriptor: int, event: int) -> None:
        if event & select.POLLIN and (notice := notices.receive(descriptor)):
            self._answer(descriptor, notice)
        elif event & (select.POLLHUP | select.POLLERR):  # the last process with this filter has ended
            self._poll.unregister(descriptor)
            self._filters.discard(descriptor)
            os.close(descriptor)

    def _answer(self, descriptor: int, notice: Notice) -> None:
        """Read what only a waiting process can tell, let it go on, and then think."""
        said: list[tuple[Call, int, str]] = []
        who: Who | None = None
        try:
            calls = self._calls.get(notice.number, ())
            said = [(call, flags, path) for call in calls for flags, path in _asked(call, notice)]
            who = self.ledger.who(notice.thread)
        finally:
            there = notices.let_go(descriptor, notice)
        if not there or who is None:
            return
        if self._used is not None and self._beyond and (name := self._beyond.get(notice.number)):
            before = self._used.get(notice.number)
            self._used[notice.number] = (
                replace(before, count=before.count + 1) if before else Beyond(name, who.name, who.pid, time.time(), 1)
            )
            self.ledger.changed = True
        for call, flags, path in said:
            self.ledger.note(call, flags, path, who)
        if any(call.how == "run" for call, _, _ in said):
            self.ledger.forget(notice.thread)


def _asked(call: Call, notice: Notice) -> list[tuple[int, str]]:
    """The flags and the absolute path of a call; nothing where it names none."""
    path = notices.text(notice.thread, notice.arguments[call.path])
    if not path:
        return []
    if not path.startswith("/"):
        folder = notice.arguments[call.folder] if call.folder >= 0 else 0xFFFFFF9C
        base = notices.place(notice.thread, folder)
        if base is None:
            return []
        path = f"{base}/{path}"
    flags = notice.arguments[call.flags] if call.flags >= 0 else 0
    if call.name == "openat2":  # its flags are the first field of struct open_how: openat2(2)
        flags = int.from_bytes(notices.memory(notice.thread, flags, 8), sys.byteorder)
    return [(flags, path)]


def paths(file: Path) -> dict[str, Entry]:
    """The whole tree by path, as ``watching`` wrote it: path, kind and a link's target."""
    import msgspec

    rows = msgspec.json.decode(file.read_bytes(), type=list[tuple[str, str, str]])
    found = {path: Entry(path, kind, 0, target=target) for path, kind, target in rows}  # type: ignore[arg-type]
    return {"/": Entry("/", "dir", 0)} | found


def beyond(file: Path) -> dict[int, str] | None:
    """The system calls that the instance's image has no use for, by number; None where nobody wants to know."""
    import msgspec

    from oslet.formats.code.names import by_number

    try:
        names = msgspec.json.decode(file.read_bytes(), type=frozenset[str])
    except FileNotFoundError:
        return None
    return {number: name for number, name in by_number(os.uname().machine).items() if name in names}


def main(folder: str, root: str, image: str) -> int:
    """As a program."""
    Watcher(Path(folder), root, image).watch(socket(fileno=LISTENING))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
