"""``oslet run`` in as little time as Python lets it take; all else is ``oslet.cli.main``'s.

It imports nothing but modules in C (``os``, ``socket`` and ``signal`` would take as long as the start), and is imported
alone, without this package (``command/oslet-python``). It hands the words of ``oslet run NAME …`` to a supervisor that
is there (``run/wire.py``), which reads them, and is what that starts: its streams, signals and exit code. Where the
words, the streams or the supervisor aren't of the simple kind nothing was started, and the whole command line begins
anew.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import posix
import select
import sys

VERSION = "1"
"""Of what is said here and understood by ``oslet.run.wire``: another one's words are for the whole command line."""
_FORWARDED = (1, 2, 3, 10, 12, 15)  # SIGHUP SIGINT SIGQUIT SIGUSR1 SIGUSR2 SIGTERM: signal(7)
_INTERRUPT, _KILL, _TERMINATE, _INSISTED = 2, 9, 15, 3
_HEARD, _LEFT, _BLOCK = 1 << 13, 200, 1 << 16
_HARMLESS, _KIND = (0o010000, 0o140000), 0o170000  # S_IFIFO and S_IFSOCK, S_IFMT: inode(7)
_NULL = (0o020000, 0x103)  # a character device, 1:3


def main() -> None:
    words = sys.argv[1:]
    code = start(words)
    if code is not None:
        posix._exit(code)  # what the interpreter would tidy up goes with the process
    if not sys.flags.no_site:
        from oslet.cli.main import main as whole

        whole(words)
    posix.execv(sys.executable, [sys.executable, "-P", "-m", "oslet.cli.main", *words])


def start(words: list[str]) -> int | None:
    """Start what ``words`` say, and be it until it ends; the exit code. None where that takes more than this."""
    if words[:1] != ["run"] or len(words) < 2 or b"_OSLET_COMPLETE" in posix.environ:
        return None
    home = _home()
    connection = _connected(home)
    if connection is None:
        return None
    streams = _streams()
    mode = "detached" if streams is None else "attached"
    text = "\0".join(("", VERSION, mode, home, *words[1:])).encode("utf-8", "surrogateescape")
    return _Start(connection, home).run(text, streams)


class _Start:
    """One start: the connection to its supervisor, over which signals go, too."""

    def __init__(self, connection: _socket.socket, home: str) -> None:
        self._connection = connection
        self._home = home
        self._caught: list[int] = []

    def run(self, text: bytes, streams: tuple[int, int, int] | None) -> int | None:
        before = {number: _signal.signal(number, self._caught_one) for number in _FORWARDED}
        try:
            said = self._begin(text, streams)
            if not said:  # it may have been started, so it is not started again
                posix.write(2, b"oslet: the supervisor was killed while it made this\n  try again\n")
                return 6
            if said[:1] not in (b"a", b"d"):
                return None
            number, image, notice = said[1:].split(b"\0")
            if notice:
                posix.write(2, notice + b"\n")
            if said[:1] == b"d":
                posix.write(1, number + b"\n")
                return 0
            code = self._relay(number)
            self._caught.clear()  # they were the instance's
            return self._ended(code, image)
        finally:
            for signal, handler in before.items():
                _signal.signal(signal, handler)
            self._connection.close()
            for signal in self._caught:  # nothing was started that it could be for
                posix.kill(posix.getpid(), signal)

    def _begin(self, text: bytes, streams: tuple[int, int, int] | None) -> bytes:
        """Ask for it, and hear whether it is there. Standard error comes through a pipe: the last of it tells why."""
        self._said, self._hears = b"", -1
        given = streams or ()
        if streams and not _is_null(2):
            self._hears, theirs = posix.pipe()
            given = (0, 1, theirs)
        rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in given)
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if given else []
        whole = len(text).to_bytes(4, "little") + text
        try:
            sent = self._connection.sendmsg([whole], ancillary, _socket.MSG_NOSIGNAL)
            if sent < len(whole):
                self._connection.sendall(whole[sent:])
            return self._heard()
        except OSError:
            return b""
        finally:
            if self._hears >= 0:
                posix.close(theirs)

    def _heard(self) -> bytes:
        """The next reply; empty if the supervisor went away."""
        size = int.from_bytes(self._exactly(4), "little")
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        whole = b""
        while len(whole) < size:
            part = self._connection.recv(size - len(whole))
            if not part:
                return b""
            whole += part
        return whole

    def _relay(self, number: bytes) -> int:
        """Carry its standard error until its end is told."""
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN)
        if self._hears >= 0:
            poll.register(self._hears, select.POLLIN)
        code = -1
        while code < 0 or self._hears >= 0:
            ready = [fd for fd, _ in poll.poll(None if code < 0 else _LEFT)]
            if code >= 0 and not ready:
                break  # a process that outlived the instance's own has the pipe: nothing more is owed
            if self._hears in ready and not self._carried():
                poll.unregister(self._hears)
                posix.close(self._hears)
                self._hears = -1
            if code < 0 and self._connection.fileno() in ready:
                poll.unregister(self._connection.fileno())
                code = self._told(number)
                if code < 0:
                    poll.register(self._connection.fileno(), select.POLLIN)
        self._exactly(1)  # until nothing is left of it
        return code

    def _told(self, number: bytes) -> int:
        """Its exit code; -1 if the supervisor was killed, and the next one is asked now."""
        try:
            said = self._heard()
        except OSError:
            said = b""
        if said[:1] == b"e":
            return int(said[1:])
        if said:
            return 137
        self._connection.close()
        fresh = _connected(self._home)
        if fresh is None:
            return 137
        self._connection = fresh
        text = b"\0".join((b"", VERSION.encode(), b"wait", self._home.encode("utf-8", "surrogateescape"), number))
        self._connection.sendall(len(text).to_bytes(4, "little") + text)
        return -1

    def _carried(self) -> bool:
        block = posix.read(self._hears, _BLOCK)
        self._said = (self._said + block)[-_HEARD:]
        left = block
        try:
            while left:
                left = left[posix.write(2, left) :]
        except OSError:
            return False
        return bool(block)

    def _ended(self, code: int, image: bytes) -> int:
        """After a failure that it said something of: the whole command line knows what was left out of the image."""
        if code and self._said:
            file = posix.memfd_create("said", 0)
            posix.write(file, self._said)
            posix.lseek(file, 0, 0)
            posix.dup2(file, 0)
            posix.execv(
                sys.executable, [sys.executable, "-P", "-m", "oslet.cli.missed", self._home, image.decode(), str(code)]
            )
        return code

    def _caught_one(self, number: int, frame: object) -> None:
        """The caller's signal is the instance's; the third that asks it to end makes it."""
        self._caught.append(number)
        asked = sum(n in (_INTERRUPT, _TERMINATE) for n in self._caught)
        try:  # noqa: SIM105 (contextlib is an import)
            self._connection.send(bytes((_KILL if asked >= _INSISTED else number,)), _socket.MSG_NOSIGNAL)
        except OSError:
            pass


def _home() -> str:
    """As ``oslet.store.home`` has it."""

    def said(name: bytes) -> str:
        return posix.environ.get(name, b"").decode("utf-8", "surrogateescape")

    if own := said(b"OSLET_HOME"):
        return own if own.startswith("/") else f"{posix.getcwd()}/{own}"
    if data := said(b"XDG_DATA_HOME"):
        return f"{data}/oslet" if data.startswith("/") else f"{posix.getcwd()}/{data}/oslet"
    return "/var/lib/oslet" if posix.geteuid() == 0 else f"{said(b'HOME')}/.local/share/oslet"


def _connected(home: str) -> _socket.socket | None:
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        # Named by a descriptor, since a path to a socket may not be longer than 107 bytes: unix(7).
        folder = posix.open(f"{home}/instances", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{folder}/socket")
        finally:
            posix.close(folder)
    except OSError:
        connection.close()
        return None
    return connection


def _streams() -> tuple[int, int, int] | None:
    """Ours, if an instance may have the first two themselves: pipes, sockets, /dev/null."""
    try:
        for number in (0, 1):
            if posix.fstat(number).st_mode & _KIND not in _HARMLESS and not _is_null(number):
                return None
        posix.fstat(2)
    except OSError:
        return None
    return 0, 1, 2


def _is_null(number: int) -> bool:
    found = posix.fstat(number)
    return (found.st_mode & _KIND, found.st_rdev) == _NULL
