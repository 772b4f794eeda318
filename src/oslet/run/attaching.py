"""Attaching: an instance's (or a command's) streams, signals and exit code are the caller's own.

The instance gets pipes and sockets of the caller's as they are; a file or a terminal is never handed over, but relayed
through a pipe. With a terminal of its own, that one's other end comes back, and what is typed here goes there.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from oslet.errors import RunError
from oslet.model.instance import Instance
from oslet.run import client, wire
from oslet.run.monitor import Stdio
from oslet.run.tools import Tools

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_INSISTED = 3
"""The third interrupt or termination is SIGKILL: pid 1 ignores what it has no handler for."""
_BLOCK = 1 << 16
_HEARD = 1 << 13
"""Bytes of what was said last that are remembered."""
_LEFT = 200
"""Milliseconds for which a process that outlived the instance's own may still be writing."""


class Began:
    """What runs now; its terminal's other end, or -1. ``code`` tells of its end."""

    def __init__(self, state: Path, connection: socket.socket, started: wire.Started, terminal: int) -> None:
        self.instance: Instance = started.instance
        self.notice = started.notice
        self.terminal = terminal
        self.whole = True
        self._state = state
        self._connection = connection

    @property
    def heard(self) -> int:
        """The descriptor that can be read once there is an end to tell of."""
        return self._connection.fileno()

    def code(self) -> int | None:
        """Its exit code. None if the supervisor was killed: the next one is asked then. RunError for a command in an
        instance, whose code is lost with it."""
        try:
            reply, _ = client.answer(self._connection)
        except ConnectionError:
            if not self.whole:
                raise RunError("the supervisor was killed, and with it the command's exit code is lost") from None
            self.close()
            self._connection = client.connect(self._state)
            wire.send(self._connection, wire.Wait(self.instance.id, attached=True))
            return None
        return reply.code if isinstance(reply, wire.Ended) else 137

    def close(self) -> None:
        self._connection.close()


@contextmanager
def attached(
    state: Path, request: wire.Request, streams: Streams, tools: Callable[[], Tools] | None = None
) -> Iterator[Began]:
    """What ``request`` starts, with ``streams``. It goes on only as long as this block, if it is an instance."""
    connection = client.connect(state, tools)
    try:
        wire.send(connection, request, streams.given)
        reply, fds = client.answer(connection)
        if not isinstance(reply, wire.Started):
            raise RunError("the supervisor answered something else", where=type(reply).__name__)
    except BaseException as error:
        connection.close()
        if isinstance(error, ConnectionError):
            raise RunError("the supervisor was killed while it made this", hint="try again") from None
        raise
    streams.handed()
    began = Began(state, connection, reply, fds[0] if fds else -1)
    began.whole = isinstance(request, wire.Start)
    try:
        yield began
    finally:
        began.close()
        if began.terminal >= 0:
            os.close(began.terminal)


class Streams:
    """The caller's streams, and what stands for them inside: ``given`` are three descriptors, or none for a terminal.

    ``said`` holds the last that was written to standard error, where that is carried.
    """

    def __init__(self, stdio: Stdio, *, tty: bool, heard: bool) -> None:
        self.said = bytearray()
        self.given: tuple[int, ...] = ()
        self._stdio = stdio
        self._tty = tty
        self._opened: list[int] = []
        self._out: dict[int, int] = {}
        self._feed: tuple[int, int] | None = None
        self._heard = -1
        if not tty:
            self.given = tuple(self._stand_in(number, stream, heard) for number, stream in enumerate(stdio))

    def _stand_in(self, number: int, stream: int | Path, heard: bool) -> int:
        if isinstance(stream, int) and not _opened(stream):
            stream = Path("/dev/null")
        if isinstance(stream, Path):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND if number else os.O_RDONLY
            self._opened.append(os.open(stream, flags | os.O_CLOEXEC, 0o600))
            return self._opened[-1]
        if _harmless(stream) and (number != 2 or not heard or _null(stream)):
            return stream
        reading, writing = os.pipe()
        inside, here = (reading, writing) if number == 0 else (writing, reading)
        self._opened.append(inside)
        if number == 0:
            self._feed = (stream, here)
        else:
            self._out[here] = stream
            if number == 2 and heard:
                self._heard = here
        return inside

    def handed(self) -> None:
        """The instance has them: its ends are closed here, so that theirs show."""
        for fd in self._opened:
            os.close(fd)
        self._opened.clear()

    def close(self) -> None:
        self.handed()
        for fd in self._out:
            os.close(fd)
        self._out.clear()

    def relay(self, began: Began) -> int:
        """Carry bytes until the end is told; the exit code."""
        if self._tty:
            return self._terminal(began)
        if self._feed:
            threading.Thread(target=_pump, args=self._feed, daemon=True).start()
        return self._carry(began)

    def _carry(self, began: Began) -> int:
        poll = select.poll()
        for fd in (began.heard, *self._out):
            poll.register(fd, select.POLLIN)
        code: int | None = None
        while self._out or code is None:
            ready = [fd for fd, _ in poll.poll(None if code is None else _LEFT)]
            if code is not None and not ready:
                break  # a process that outlived the instance's own holds the pipe: nothing more is owed
            if code is None and began.heard in ready:
                poll.unregister(began.heard)
                code = began.code()
                if code is None:
                    poll.register(began.heard, select.POLLIN)
            for fd in self._out.keys() & set(ready):
                if not _carry(fd, self._out[fd], self.said if fd == self._heard else None):
                    poll.unregister(fd)
                    del self._out[fd]
                    os.close(fd)
        return code

    def _terminal(self, began: Began) -> int:
        """Between the caller's terminal and the instance's, byte by byte: the caller's is raw meanwhile."""
        here = self._stdio.stdin if isinstance(self._stdio.stdin, int) else 0
        out = self._stdio.stdout if isinstance(self._stdio.stdout, int) else 1
        with _raw(here), _resized(here, began.terminal):
            poll = select.poll()
            for fd in (began.heard, began.terminal, here):
                poll.register(fd, select.POLLIN)
            code: int | None = None
            while True:
                ready = [fd for fd, _ in poll.poll(None if code is None else _LEFT)]
                if code is not None and began.terminal not in ready:
                    return code
                if code is None and began.heard in ready:
                    poll.unregister(began.heard)
                    code = began.code()
                    if code is None:
                        poll.register(began.heard, select.POLLIN)
                if here in ready and not _typed(here, began.terminal):
                    poll.unregister(here)
                if began.terminal in ready and not _shown(began.terminal, out):
                    if code is not None:
                        return code
                    poll.unregister(began.terminal)


@contextmanager
def streams(stdio: Stdio | None, tty: bool, *, heard: bool = False) -> Iterator[Streams]:
    made = Streams(stdio or Stdio(), tty=tty, heard=heard)
    try:
        yield made
    finally:
        made.close()


def signal_process(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _opened(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _harmless(descriptor: int) -> bool:
    """Whether an instance may have a descriptor itself: a pipe, a socket, or /dev/null."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or _null(descriptor)


def _null(descriptor: int) -> bool:
    found = os.fstat(descriptor)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == Path("/dev/null").stat().st_rdev


def _carry(reading: int, writing: int, heard: bytearray | None = None) -> bool:
    block = os.read(reading, _BLOCK)
    if heard is not None:
        heard += block
        del heard[:-_HEARD]
    return bool(block) and _write(writing, block)


def _write(writing: int, block: bytes) -> bool:
    view = memoryview(block)
    while view:
        try:
            view = view[os.write(writing, view) :]
        except OSError:
            return False
    return True


def _typed(here: int, terminal: int) -> bool:
    try:
        block = os.read(here, _BLOCK)
    except OSError:
        return False
    return _write(terminal, block or b"\x04") and bool(block)


def _shown(terminal: int, out: int) -> bool:
    """False once no process has the terminal any more: pty(7) says EIO."""
    try:
        return _write(out, os.read(terminal, _BLOCK))
    except OSError:
        return False


def _pump(reading: int, writing: int) -> None:
    """Carry standard input until it ends or nobody reads it; in a thread, since a file is always ready."""
    with suppress(OSError):
        while _carry(reading, writing):
            pass
    with suppress(OSError):
        os.close(writing)


@contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    import termios
    import tty

    try:
        before = termios.tcgetattr(descriptor)
    except termios.error:
        yield
        return
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _size(here: int, terminal: int) -> None:
    """The instance's terminal becomes as large as the caller's: tty_ioctl(4)."""
    import termios

    with suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, fcntl.ioctl(here, termios.TIOCGWINSZ, bytes(8)))


@contextmanager
def _resized(here: int, terminal: int) -> Iterator[None]:
    """Have the instance's terminal follow the size of the caller's."""
    _size(here, terminal)
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGWINCH, lambda *_: _size(here, terminal))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


@contextmanager
def signals() -> Iterator[Callable[[Callable[[int], None]], None]]:
    """The caller's signals are the instance's: kept, until it is said how they are sent, and sent from then on. Only
    the main thread may; others' callers keep theirs."""
    early: list[int] = []
    send: Callable[[int], None] = early.append
    insisted = 0

    def deliver(wanted: Callable[[int], None]) -> None:
        nonlocal send
        send = wanted
        for number in early:
            wanted(number)

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal insisted
        insisted += number in (signal.SIGINT, signal.SIGTERM)
        send(signal.SIGKILL if insisted >= _INSISTED else number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda wanted: None
        return
    before = {number: signal.signal(number, handle) for number in FORWARDED}
    try:
        yield deliver
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
