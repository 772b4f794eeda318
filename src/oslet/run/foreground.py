"""Foreground: an instance whose streams, signals and exit code are the caller's own.

crun gives what it finds as descriptors 0, 1 and 2 to the instance's user (fchown), so a caller's file or terminal is
never handed over: it is relayed through a pipe. With a terminal of its own the runtime copies by itself.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from oslet.model.instance import Arguments
from oslet.run import living, records, starting
from oslet.run.monitor import Stdio
from oslet.run.records import Record
from oslet.run.reserving import Places, Sealed, Wish
from oslet.run.tools import Tools

if TYPE_CHECKING:
    from oslet.model.watch import Watched

Relay: TypeAlias = Callable[[int, Callable[[int], None]], int]
"""Carries bytes and signals until the process with that pid ends; its exit code."""

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_INSISTED = 3
"""The third interrupt or termination is SIGKILL: pid 1 ignores what it has no handler for."""
_BLOCK = 1 << 16
_HEARD = 1 << 13
"""Bytes of what was said last that are remembered."""


class Ending(NamedTuple):
    """How an instance in the foreground ended: its exit code, the last it wrote to standard error (nothing where that
    is a terminal of its own), and what it used if it was watched."""

    code: int
    said: str
    watched: Watched | None


def _unheard(ending: Ending) -> None:
    """For who doesn't want to be told."""


def run(
    sealed: Sealed,
    arguments: Arguments,
    wish: Wish,
    tools: Tools,
    places: Places,
    stdio: Stdio | None = None,
    *,
    notice: Callable[[str], None] = starting.silent,
    ending: Callable[[Ending], None] = _unheard,
) -> int:
    """Start an instance, be it until it ends, and leave nothing of it; the application's own exit code.

    A signal that comes while it starts is the application's too, and waits for it. ``ending`` is told of its end.
    """
    early: list[int] = []
    deliver: Callable[[int], None] = early.append
    said = bytearray()
    with streams(stdio, wish.tty, said) as (given, relay), _signals(lambda number: deliver(number), wish.tty):
        folder, record = starting.launch(
            sealed,
            arguments,
            wish._replace(remove=True),
            tools,
            places,
            stdio=given,
            session=not wish.tty,
            notice=notice,
        )
        try:

            def send(number: int) -> None:
                with suppress(Exception):
                    living.send(places.state, record.id, str(number))

            deliver = send
            for number in early:
                send(number)
            code = relay(record.monitor, send)
            found = records.observe(folder, record).exit_code
            code = code if found is None else found
            ending(Ending(code, said.decode("utf-8", "replace"), _watched(folder, record)))
            return code
        finally:
            living.stop(places.state, record.id, grace=0)


def _watched(folder: Path, record: Record) -> Watched | None:
    """What a watched instance used, once its watcher has written everything."""
    if not record.watcher:
        return None
    from oslet.run import watching

    watching.finish(record.watcher)
    return watching.read(folder)


@contextmanager
def streams(stdio: Stdio | None, tty: bool, said: bytearray | None = None) -> Iterator[tuple[Stdio, Relay]]:
    """The descriptors to give an instance in the caller's place, and what carries between the two. ``said`` is to hold
    the last that was written to standard error, which is carried then wherever it goes."""
    wanted = stdio or Stdio()
    heard: dict[int, bytearray] = {}
    if tty:
        yield wanted, lambda pid, send: _attend(pid, send, [], None, tty=True)
        return
    mine: list[tuple[int, int]] = []
    theirs: list[int] = []
    given: list[int | Path] = []
    feed: tuple[int, int] | None = None
    for number, stream in enumerate(wanted):
        if isinstance(stream, Path) or (_harmless(stream) and (number != 2 or said is None or _null(stream))):
            given.append(stream)
            continue
        reading, writing = os.pipe()
        if number == 0:
            feed = (stream, writing)
            given.append(reading)
            theirs.append(reading)
        else:
            mine.append((reading, stream))
            given.append(writing)
            theirs.append(writing)
            if number == 2 and said is not None:
                heard[reading] = said

    def relay(pid: int, send: Callable[[int], None]) -> int:
        for descriptor in theirs:
            os.close(descriptor)
        theirs.clear()
        return _attend(pid, send, mine, feed, tty=False, heard=heard)

    try:
        yield Stdio(*given), relay
    finally:
        for descriptor in theirs:
            os.close(descriptor)
        for reading, _ in mine:
            os.close(reading)


def _harmless(descriptor: int) -> bool:
    """Whether a descriptor may change its owner: a pipe, a socket, or /dev/null (which crun leaves alone)."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return True
    return stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode) or _null(descriptor)


def _null(descriptor: int) -> bool:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return True
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == Path("/dev/null").stat().st_rdev


def _attend(
    pid: int,
    send: Callable[[int], None],
    out: list[tuple[int, int]],
    feed: tuple[int, int] | None,
    *,
    tty: bool,
    heard: dict[int, bytearray] | None = None,
) -> int:
    """Relay until the process has ended and all it wrote is carried."""
    if feed:
        threading.Thread(target=_pump, args=feed, daemon=True).start()
    watched = os.pidfd_open(pid)
    waiting = dict(out)
    try:
        with _signals(send, tty):
            ended = False
            poll = select.poll()
            for descriptor in (watched, *waiting):
                poll.register(descriptor, select.POLLIN)
            while waiting or not ended:
                ready = [descriptor for descriptor, _ in poll.poll(200 if ended else None)]
                if ended and not ready:
                    break  # a process that outlived the instance's own holds the pipe: nothing more is owed
                if watched in ready:
                    ended = True
                    poll.unregister(watched)
                for reading in waiting.keys() & set(ready):
                    if not _carry(reading, waiting[reading], (heard or {}).get(reading)):
                        del waiting[reading]
                        poll.unregister(reading)
    finally:
        os.close(watched)
    with suppress(ChildProcessError):
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return 128 - code if code < 0 else code
    return 137


def _carry(reading: int, writing: int, heard: bytearray | None = None) -> bool:
    block = os.read(reading, _BLOCK)
    if heard is not None:
        heard += block
        del heard[:-_HEARD]
    view = memoryview(block)
    while view:
        try:
            view = view[os.write(writing, view) :]
        except BrokenPipeError:
            return False
    return bool(block)


def _pump(reading: int, writing: int) -> None:
    """Carry standard input until it ends or nobody reads it; in a thread, since a file is always ready."""
    with suppress(OSError):
        while _carry(reading, writing):
            pass
    with suppress(OSError):
        os.close(writing)


@contextmanager
def _signals(send: Callable[[int], None], tty: bool) -> Iterator[None]:
    """Hand the caller's signals to the instance. Only the main thread may; others' callers keep theirs."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    insisted = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal insisted
        insisted += number in (signal.SIGINT, signal.SIGTERM)
        send(signal.SIGKILL if insisted >= _INSISTED else number)

    # On a terminal of its own the instance gets ^C as a byte, and crun sees to the window's size.
    before = {number: signal.signal(number, handle) for number in _FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
