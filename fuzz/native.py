"""The programs in C, driven as their peers drive them, and hostile messages for them: ``./dev fuzz stub keeper``.

A model in Python says what each message must lead to; a program that does otherwise, crashes, hangs, or keeps a
descriptor is a finding. The programs are made anew for this, with traps at undefined behaviour and in broken stacks.
"""

from __future__ import annotations

import array
import atexit
import errno
import fcntl
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from fuzz.judge import Finding
from oslet.run import native

MAGIC, MOST, MANY = 0x314C534F, 4 << 20, 1 << 16
TERMINAL, WARM, CARRIED = 1, 2, 8
HEAD = struct.Struct("<5I")
PATIENCE = 20.0
TRAPS = ("-fsanitize=undefined", "-fsanitize-trap=undefined", "-fstack-protector-all", "-O1", "-g")


def trapping(name: str, folder: Path) -> Path:
    """The program of that name, made with traps for this machine."""
    made, source = folder / name, Path(native.__file__).parent / f"{name}.c"
    if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
        target = f"{os.uname().machine}-linux-musl"
        words = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-std=gnu11", "-static", *TRAPS]
        print(f"fuzz: making {name} with traps (the first time takes a minute)", file=sys.stderr)
        subprocess.run([*words, "-o", str(made), str(source)], check=True)
    return made


def spawn(program: Path, words: Sequence[str], fds: dict[int, int], closed: Sequence[int] = ()) -> int:
    """Start a program with these descriptors, by number, and of 0 to 2 those that aren't ``closed``; its pid."""
    copies = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64) for number, fd in fds.items()}
    try:
        actions: list[tuple[int, ...]] = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in copies.items()]
        actions += [(os.POSIX_SPAWN_CLOSE, number) for number in closed]
        return os.posix_spawn(program, [program.name, *words], {"PATH": "/usr/bin:/bin"}, file_actions=actions)
    finally:
        for fd in copies.values():
            os.close(fd)


def ending(pid: int) -> int:
    """A child's exit code, negative for a signal. Finding if it hangs."""
    process = os.pidfd_open(pid)
    try:
        if not select.select([process], [], [], PATIENCE)[0]:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise Finding("hang", "it doesn't end")
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(process)


def rights(fds: Sequence[int]) -> list[tuple[int, int, array.array[int]]]:
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []


# The stub


class Piece(NamedTuple):
    """One part of a message, and how many descriptors come with it."""

    data: bytes
    fds: int = 0


class Outcome(NamedTuple):
    """How a stub ended: its exit code, and the errno it told, if any."""

    code: int
    said: int | None = None


def message(folder: bytes, words: Sequence[bytes], env: Sequence[bytes] = (), **header: int) -> bytes:
    """What a stub is told; parts of its header may lie."""
    text = b"".join(word + b"\0" for word in (folder, *words, *env))
    fields = {"magic": MAGIC, "length": len(text), "arguments": len(words), "variables": len(env), "flags": 0}
    return HEAD.pack(*({**fields, **header}).values()) + text


def tell(program: Path, pieces: Sequence[Piece], file: int, closed: Sequence[int] = ()) -> Outcome:
    """Start a stub, send it the pieces with copies of ``file``, and then end."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            pid = spawn(program, [], {3: theirs.fileno(), 4: theirs.fileno()}, closed)
        for piece in pieces:
            try:
                ours.sendmsg([piece.data], rights([file] * piece.fds), socket.MSG_NOSIGNAL)
            except OSError:
                break
        ours.shutdown(socket.SHUT_WR)
        said = b""
        ours.settimeout(PATIENCE)
        try:
            while part := ours.recv(64):
                said += part
        except ConnectionResetError:
            pass  # it ended with something unread
    if len(said) not in (0, 4):
        raise Finding("says more than an errno", repr(said))
    return Outcome(ending(pid), int.from_bytes(said, "little") if said else None)


def _exit(number: int) -> Outcome:
    return Outcome(127 if number == errno.ENOENT else 126, number)


def expected(pieces: Sequence[Piece]) -> Outcome | None:
    """What a stub must make of a message; None where it is some path of the machine's."""
    data = b"".join(piece.data for piece in pieces)
    if not data:
        return Outcome(125)
    late = _late(pieces)
    if pieces[0].fds > 4 or late < HEAD.size:
        return _exit(errno.EBADMSG)
    if len(data) < HEAD.size:
        return Outcome(125)
    magic, length, arguments, variables, flags = HEAD.unpack_from(data)
    if (
        magic != MAGIC
        or length > MOST
        or not 1 <= arguments <= MANY
        or variables > MANY
        or flags & ~(TERMINAL | WARM | CARRIED)
    ):
        return _exit(errno.EBADMSG)
    if pieces[0].fds != (0 if flags & TERMINAL else 3) + (flags & CARRIED > 0):
        return _exit(errno.EBADMSG)
    text = data[HEAD.size : HEAD.size + length]
    if late < HEAD.size + length:
        return _exit(errno.EBADMSG)
    if len(text) < length:
        return Outcome(125)
    if text.count(b"\0") != 1 + arguments + variables or not text.endswith(b"\0"):
        return _exit(errno.EBADMSG)
    folder, word = text.split(b"\0")[:2]
    if folder not in _FOLDERS:
        return None
    if folder != b"/":
        return _exit(errno.ENOTDIR if folder == b"/etc/passwd" else errno.ENOENT)
    if word not in _COMMANDS:
        return None
    if word == b"/bin/true":
        return Outcome(0)
    return _exit(errno.EACCES if word in (b"/", b"/etc/passwd") else errno.ENOENT)


def _late(pieces: Sequence[Piece]) -> int:
    """At which byte descriptors come that aren't the first's."""
    at = 0
    for number, piece in enumerate(pieces):
        if number and piece.fds:
            return at
        at += len(piece.data)
    return MOST * 2


_FOLDERS = (*(b"/",) * 8, b"/etc/passwd", b"/none", b"")
_COMMANDS = (*(b"/bin/true",) * 8, b"/none", b"", b"/", b"/etc/passwd")
_NUMBERS = (0, 1, 2, 3, 7, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, MOST, MOST + 1, MANY, MANY + 1)


def stub_pieces(chance: random.Random) -> list[Piece]:
    """A message as it should be, or a few lies away from one, in pieces."""
    words = [chance.choice(_COMMANDS), *(b"x" * chance.choice((0, 1, 9, 5000)) for _ in range(chance.randint(0, 3)))]
    env = [b"A=%d" % n for n in range(chance.randint(0, 3))]
    lies = {"flags": chance.choice((0, 0, 0, WARM))}
    if chance.random() < 0.4:
        part = chance.choice(("magic", "length", "arguments", "variables", "flags"))
        lies[part] = chance.choice((*_NUMBERS, chance.getrandbits(32)))
    data = bytearray(message(chance.choice(_FOLDERS), words, env, **lies))
    for _ in range(chance.choice((0, 0, 1, 3))):
        data[chance.randrange(len(data))] = chance.choice((0, 1, 0xFF, 0x2F, chance.getrandbits(8)))
    if chance.random() < 0.2:
        data += chance.randbytes(chance.randint(1, 40))
    if chance.random() < 0.2:
        del data[chance.randrange(len(data) + 1) :]
    cuts = sorted({0, len(data), *(chance.randint(0, len(data)) for _ in range(chance.choice((0, 0, 1, 4))))})
    pieces = [Piece(bytes(data[a:b])) for a, b in pairwise(cuts)] or [Piece(b"")]
    first = pieces[0]._replace(fds=chance.choice((*(3,) * 20, 0, 1, 2, 4, 5, 200)))
    # A read may go on from bytes without descriptors into bytes with some, but not from some to others.
    later = [p._replace(fds=chance.choice((0, 0, 0, 0, 1, 3, 9)) if first.fds else 0) for p in pieces[1:]]
    return [p for p in (first, *later) if p.data]


def fuzz_stub(program: Path, chance: random.Random, file: int) -> bool:
    """One message for a stub; whether it was taken."""
    pieces = stub_pieces(chance)
    data = b"".join(piece.data for piece in pieces)
    if len(data) >= HEAD.size and HEAD.unpack_from(data)[4] & TERMINAL:
        return False  # on the machine's own terminals; tests do that inside
    wanted = expected(pieces)
    if wanted is None:
        return False  # nor is a program of the machine's to be run that is only near the one meant
    got = tell(program, pieces, file)
    if wanted != got:
        raise Finding(f"{got} for {wanted}", repr(pieces))
    return wanted.code == 0


# The keeper


class Heir:
    """A keeper whose supervisor this process is, and what it must keep: each thing a file in memory of its own name."""

    def __init__(self, program: Path, folder: Path, *command: str) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(PATIENCE)
        with theirs, socket.socket(socket.AF_UNIX) as door:
            door.bind(str(folder / "socket"))
            door.listen()
            words = [str(folder), "heir", "3", "4", "--", *(command or ("/bin/false",))]
            self.pid = spawn(program, words, {3: theirs.fileno(), 4: door.fileno()})
        atexit.register(self.control.close)  # its folder is gone by then, so that it ends after a few tries
        self.room = int(self.control.recv(64)[1:])
        self.kept: dict[bytes, str] = {}
        self._made = 0

    def send(self, data: bytes, fds: int = 0) -> None:
        """Send a message with fresh descriptors, and note what is to be kept now."""
        names = [f"k{self._made + n}" for n in range(fds)]
        self._made += fds
        files = [os.memfd_create(name) for name in names]
        try:
            self.control.sendmsg([data], rights(files))
        finally:
            for file in files:
                os.close(file)
        whole, name = len(data) <= 96 and b"\0" not in data, data[1:]
        if data[:1] == b"K" and whole and names:
            self.kept[name] = names[0]
        elif data[:1] == b"D" and whole:
            self.kept.pop(name, None)

    def settle(self) -> None:
        """Return when all that was sent is read, and all but the last is done."""
        self.control.send(b"D?")
        queued, deadline = array.array("i", [1]), time.monotonic() + PATIENCE
        while queued[0]:
            fcntl.ioctl(self.control, termios.TIOCOUTQ, queued)
            if queued[0] and time.monotonic() > deadline:
                raise Finding("hang", "it doesn't listen")
            os.sched_yield()

    def holds(self) -> Counter[str]:
        """The names of the files that it has open."""
        links = (os.readlink(f"/proc/{self.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{self.pid}/fd"))
        return Counter(link.removeprefix("/memfd:").split()[0] for link in links if link.startswith("/memfd:"))

    def end(self) -> int:
        """Forget everything and go; its exit code."""
        for name in list(self.kept):
            self.send(b"D" + name)
        self.control.close()
        return ending(self.pid)


def keeper_message(chance: random.Random) -> tuple[bytes, int]:
    name = chance.choice((b"", b"a", b"ab", b"b/out", b"x" * 95, b"x" * 96, b"x" * 500, b"%s%n", b"a\0b", b"\xff"))
    kind = chance.choice((b"K", b"K", b"K", b"D", b"D", b"R", b"A", b"G", b"E", b"\0", b"\xff"))
    if chance.random() < 0.1:
        return chance.randbytes(chance.randint(1, 200)), chance.randint(0, 2)
    if kind == b"R":
        name = chance.choice((b"", b"0", b"-1", b"1", b"99999999999999", b"x", b"4294967296"))
    return kind + name, chance.choice((0, 1, 1, 1, 1, 2, 3, 250))


def keeper_case(program: Path) -> Callable[[random.Random], bool]:
    """Sequences of messages for one keeper, and now and then another keeper."""
    with tempfile.TemporaryDirectory(prefix="oslet-fuzz-") as room:
        heir = Heir(program, Path(room))

    def run(chance: random.Random) -> bool:
        nonlocal heir
        sent = [keeper_message(chance) for _ in range(chance.randint(1, 30))]
        try:
            for data, fds in sent:
                heir.send(data, fds)
            heir.settle()
            wanted = Counter(heir.kept.values())
            if (held := heir.holds()) != wanted:
                raise Finding("keeps something else", f"{held} for {wanted}: {sent}")
            if chance.random() < 0.02:
                if code := heir.end():
                    raise Finding(f"ends with {code}", repr(sent))
                with tempfile.TemporaryDirectory(prefix="oslet-fuzz-") as room:
                    heir = Heir(program, Path(room))
        except OSError as error:
            raise Finding(f"is gone: {error}", repr(sent)) from None
        return bool(wanted)

    return run


PROGRAMS = {
    "stub": "run/native/stub.c: what a slot is to become",
    "keeper": "run/native/keeper.c: what a supervisor says",
}


def main(name: str, seconds: str, folder: str) -> int:
    """Random messages for so long; the counts in FOLDER/NAME.json, findings in FOLDER/findings."""
    program = trapping(name, Path(folder) / name)
    os.dup2(os.open("/dev/null", os.O_WRONLY), 2)  # a keeper says of each descriptor that is lost
    file = os.open("/dev/null", os.O_RDWR)
    case = keeper_case(program) if name == "keeper" else lambda chance: fuzz_stub(program, chance, file)
    until, executions, taken = time.monotonic() + int(seconds), 0, 0
    began = random.SystemRandom().getrandbits(48)
    places: set[str] = set()
    while time.monotonic() < until:
        executions += 1
        try:
            taken += case(random.Random(f"{began} {executions}"))
        except Finding as finding:
            if finding.place not in places and len(places) < 20:
                places.add(finding.place)
                where = Path(folder) / "findings" / f"{name}-{began:x}-{executions}"
                where.write_text(f"{began} {executions}\n")
                where.with_suffix(".txt").write_text(str(finding))
            if name == "keeper":
                case = keeper_case(program)
    figures = {"executions": executions, "taken": taken, "peak": 0}
    (Path(folder) / f"{name}.json").write_text(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
