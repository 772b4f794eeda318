"""The stub: the real program on a socket pair, told what a slot is to become: truly, falsely, whole and in pieces."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import struct
from pathlib import Path

import pytest
from fuzz.native import HEAD, Outcome, Piece, ending, expected, message, rights, spawn, tell
from hypothesis import given, settings
from hypothesis import strategies as some

from fuzz import native as driven
from oslet.errors import RunError
from oslet.run import native
from oslet.run.supervisor.launch import Launch
from oslet.run.supervisor.slots import message as written

STUB = native.program("stub")
NULL = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)


def become(*words: str, env: tuple[str, ...] = (), folder: str = "/", closed: tuple[int, ...] = ()) -> tuple[int, str]:
    """Have a stub become a command: its exit code, and what it wrote to the descriptors it was given."""
    file = os.memfd_create("output", os.MFD_CLOEXEC)
    try:
        data = message(folder.encode(), [w.encode() for w in words], [e.encode() for e in env])
        outcome = tell(STUB, [Piece(data, 3)], file, closed)
        assert outcome.said is None, os.strerror(outcome.said or 0)
        return outcome.code, os.pread(file, 1 << 20, 0).decode()
    finally:
        os.close(file)


def test_it_is_what_it_was_told_to_be(tmp_path: Path) -> None:
    code, said = become(
        "sh", "-c", 'pwd; echo "$0" "$1" $A; exit 7', "an argument", "", env=("A=b",), folder=f"{tmp_path}"
    )
    assert (code, said) == (7, f"{tmp_path}\nan argument  b\n")
    # By the path that it is given for itself, as a shell would find it.
    (tmp_path / "greet").write_text("#!/bin/sh\necho hello\n")
    (tmp_path / "greet").chmod(0o755)
    assert become("greet", env=(f"PATH={tmp_path}:/bin",)) == (0, "hello\n")
    assert become("/usr/bin/env", env=("ONE=1",)) == (0, "ONE=1\n")


@pytest.mark.parametrize("closed", [(), (0,), (1, 2), (0, 1, 2)])
def test_it_has_three_descriptors_whatever_was_open(closed: tuple[int, ...]) -> None:
    spare = [os.dup(NULL) for _ in range(20)]
    for fd in spare:
        os.set_inheritable(fd, True)
    try:
        code, said = become("/bin/ls", "/proc/self/fd", closed=closed)
    finally:
        for fd in spare:
            os.close(fd)
    assert (code, said.split()) == (0, ["0", "1", "2", "3"])  # 3 is the folder that ls reads


def test_a_warm_one_keeps_its_socket() -> None:
    file = os.memfd_create("output", os.MFD_CLOEXEC)
    data = message(b"/", [b"/bin/ls", b"/proc/self/fd"], flags=driven.WARM)
    assert tell(STUB, [Piece(data, 3)], file).code == 0
    assert os.pread(file, 100, 0).split() == [b"0", b"1", b"2", b"3", b"4"]
    os.close(file)


def test_signals_are_as_at_boot() -> None:
    """Whatever a runtime, or the Python that started it, blocked or ignored."""
    ignored = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    old = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])
    try:
        _, said = become("/bin/cat", "/proc/self/status")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
        for number, handler in before.items():
            signal.signal(number, handler)
    masks = dict(line.split(":\t", 1) for line in said.splitlines() if line.startswith("Sig"))
    assert {masks[name] for name in ("SigBlk", "SigIgn", "SigCgt")} == {"0" * 16}


@pytest.mark.parametrize(
    ("words", "folder", "number", "code"),
    [
        (["/none"], "/", errno.ENOENT, 127),
        (["none-such"], "/", errno.ENOENT, 127),
        ([""], "/", errno.ENOENT, 127),
        (["/"], "/", errno.EACCES, 126),
        (["/etc/passwd"], "/", errno.EACCES, 126),
        (["/bin/true"], "/none", errno.ENOENT, 127),
        (["/bin/true"], "/etc/passwd", errno.ENOTDIR, 126),
        (["/bin/true", "x" * (200 << 10)], "/", errno.E2BIG, 126),
    ],
)
def test_what_fails_is_told(words: list[str], folder: str, number: int, code: int) -> None:
    data = message(folder.encode(), [w.encode() for w in words])
    assert tell(STUB, [Piece(data, 3)], NULL) == Outcome(code, number)


GOOD = message(b"/", [b"/bin/true", b"x"], [b"A=1"])
LIES = {
    "another magic": message(b"/", [b"/bin/true"], magic=7),
    "no argument": message(b"/", [], []),
    "too many arguments": message(b"/", [b"a"], arguments=1 << 17),
    "all arguments": message(b"/", [b"a"], arguments=0xFFFFFFFF),
    "too many variables": message(b"/", [b"a"], variables=0xFFFFFFFF),
    "one argument too few": message(b"/", [b"a", b"b"], arguments=1),
    "one argument too many": message(b"/", [b"a", b"b"], arguments=3),
    "too long": message(b"/", [b"a"], length=(4 << 20) + 1),
    "longest": message(b"/", [b"a"], length=0xFFFFFFFF),
    "empty": message(b"/", [b"a"], length=0)[: HEAD.size],
    "no end": message(b"/", [b"a"], length=3),
    "an unknown flag": message(b"/", [b"a"], flags=16),
    "one more that did not come": message(b"/", [b"a"], flags=driven.CARRIED),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused(lie: str) -> None:
    assert tell(STUB, [Piece(LIES[lie], 3)], NULL) == Outcome(126, errno.EBADMSG)


@pytest.mark.parametrize("closed", [(), (0,), (0, 1, 2)])
def test_one_more_descriptor_is_the_programs_as_four(closed: tuple[int, ...]) -> None:
    file = os.memfd_create("output", os.MFD_CLOEXEC)
    data = message(b"/", [b"/bin/sh", b"-c", b"echo five >&4; ls /proc/self/fd"], flags=driven.CARRIED)
    assert tell(STUB, [Piece(data, 4)], file, closed) == Outcome(0)
    assert os.pread(file, 100, 0).split() == [b"five", b"0", b"1", b"2", b"3", b"4"]
    os.close(file)


@pytest.mark.parametrize(
    "pieces", [[Piece(GOOD, n)] for n in (0, 1, 2, 4, 5, 253)] + [[Piece(GOOD[:9], 3), Piece(GOOD[9:], 1)]]
)
def test_three_descriptors_come_with_the_first_byte(pieces: list[Piece]) -> None:
    assert tell(STUB, pieces, NULL) == Outcome(126, errno.EBADMSG)


def test_an_end_at_any_byte_is_the_end() -> None:
    for size in range(len(GOOD)):
        assert tell(STUB, [Piece(GOOD[:size], 3)] if size else [], NULL) == Outcome(125), size


def test_it_goes_when_its_supervisor_is_killed() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        pid = spawn(STUB, [], {3: theirs.fileno()})
    ours.close()
    assert ending(pid) == 125


@settings(max_examples=30)
@given(
    some.lists(some.text(some.characters(exclude_characters="\0", codec="utf-8"), max_size=40), max_size=6), some.data()
)
def test_any_words_arrive_however_they_are_cut(words: list[str], data: some.DataObject) -> None:
    whole = written(Launch(("/usr/bin/printf", "%s\\0", "", *words), (), "/", (NULL, NULL, NULL)))
    cuts = sorted(data.draw(some.sets(some.integers(1, len(whole) - 1), max_size=3)))
    pieces = [Piece(whole[a:b]) for a, b in zip([0, *cuts], [*cuts, len(whole)])]
    pieces[0] = pieces[0]._replace(fds=3)
    file = os.memfd_create("output", os.MFD_CLOEXEC)
    try:
        assert tell(STUB, pieces, file) == Outcome(0)
        assert os.pread(file, 1 << 16, 0) == b"".join(w.encode() + b"\0" for w in ("", *words))
    finally:
        os.close(file)


@settings(max_examples=40)
@given(some.binary(max_size=120), some.integers(0, 4))
def test_bytes_of_any_kind_do_no_harm(garbage: bytes, fds: int) -> None:
    pieces = [Piece(garbage, fds)] if garbage else []
    assert tell(STUB, pieces, NULL) == expected(pieces)


def test_the_other_end_refuses_what_cannot_be_said() -> None:
    with pytest.raises(RunError, match="NUL"):
        written(Launch(("a\0b",), (), "/"))
    with pytest.raises(RunError, match="4 MiB"):
        written(Launch(("a" * (5 << 20),), (), "/"))


def test_a_terminal_is_its_own() -> None:
    """The other end comes first, then the end of the socket."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            pid = spawn(STUB, [], {3: theirs.fileno()})
        ours.sendall(
            message(b"/", [b"/bin/sh", b"-c", b"tty; ls /proc/self/fd; exec 3</dev/tty"], flags=driven.TERMINAL)
        )
        said, fds, _, _ = socket.recv_fds(ours, 4, 2)
        assert (said, len(fds), ours.recv(1)) == (b"t", 1, b"")
        with os.fdopen(fds[0], "rb", buffering=0) as terminal:
            assert ending(pid) == 0
            assert b"/dev/pts/" in (shown := terminal.read(4096) or b"") and b"0" in shown
        assert ours.recv(1) == b""


def test_descriptors_with_a_terminal_are_refused() -> None:
    assert tell(STUB, [Piece(message(b"/", [b"a"], flags=driven.TERMINAL), 3)], NULL) == Outcome(126, errno.EBADMSG)


def test_it_is_a_page_to_read() -> None:
    assert len((Path(native.__file__).parent / "stub.c").read_text().splitlines()) < 200


@pytest.mark.parametrize(("machine", "number"), [("x86_64", 62), ("aarch64", 183)])
@pytest.mark.parametrize("name", ["stub", "keeper"])
def test_programs_are_static_for_each_machine(machine: str, number: int, name: str) -> None:
    program = Path(native.__file__).parent / machine / name
    if not program.exists():
        pytest.skip("./dev makes the programs for the other machine; this checkout has its own only")
    data = program.read_bytes()
    kind, found = struct.unpack_from("<HH", data, 16)
    offset, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    parts = {struct.unpack_from("<I", data, offset + n * size)[0] for n in range(count)}
    assert (data[:4], found) == (b"\x7fELF", number)
    assert kind in (2, 3)
    assert 3 not in parts  # no interpreter is asked for


def test_the_other_machines_program_works_too() -> None:
    """By an emulator, if one is here: ``./dev test`` installs it."""
    other = {"x86_64": "aarch64", "aarch64": "x86_64"}[os.uname().machine]
    emulator = shutil.which(f"qemu-{other}-static") or shutil.which(f"qemu-{other}")
    program = Path(native.__file__).parent / other / "stub"
    if emulator is None or not program.exists():
        pytest.skip(f"no qemu-user for {other} here")
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            pid = spawn(Path(emulator), [str(program)], {3: theirs.fileno()})
        ours.sendmsg([message(b"/", [b"/none"])], rights([NULL] * 3))
        assert ours.recv(4) == struct.pack("<I", errno.ENOENT)
        assert ending(pid) == 127
