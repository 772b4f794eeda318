"""The keeper: the real program, with a supervisor of a few lines that does whatever a client says."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzz.native import Heir, ending, rights
from hypothesis import given, settings
from hypothesis import strategies as some

from oslet.run import keeping, native, records

SUPERVISOR = """
import array, os, signal, socket, sys, time
control, door = socket.socket(fileno=3), socket.socket(fileno=4)
kept = {}
def take():
    said, parts, _, _ = control.recvmsg(128, socket.CMSG_LEN(4))
    for _, _, data in parts:
        kept[said[1:].decode()] = array.array("i", data)[0]
    return said
while (said := take())[:1] == b"K":
    pass
room = int(said[1:])
def keep(name, text):
    file = os.memfd_create(name)
    os.write(file, text.encode())
    control.sendmsg([b"K" + name.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))])
    os.close(file)
def read(name):
    return os.pread(kept[name], 100, 0).decode()
def orphan(script):
    words = ["sh", "-c", f"( sleep 0.1; {script} ) & echo $! >&0"]
    reading, writing = os.pipe()
    os.waitpid(os.posix_spawn("/bin/sh", words, {}, file_actions=[(os.POSIX_SPAWN_DUP2, writing, 0)]), 0)
    return int(os.read(reading, 20))
def died():
    control.settimeout(10)
    return tuple(map(int, control.recv(128)[1:].split()))
def silent():
    control.settimeout(0.2)
    try:
        return control.recv(128)
    except TimeoutError:
        return True
def die(how=signal.SIGKILL):
    os.kill(os.getpid(), how)
control.send(b"A")
while True:
    client, _ = door.accept()
    with client:
        client.send(repr(eval(client.recv(65536).decode())).encode())
"""


class World:
    """A state folder with a keeper."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        self.script = folder / "supervisor.py"
        self.script.write_text(SUPERVISOR)
        self.command = [sys.executable, "-I", "-S", str(self.script)]
        words = lambda state, way: ["keeper", str(state), way, "3", "4", "--", *self.command]  # noqa: E731
        monkeypatch.setattr(keeping, "_words", words)

    def start(self) -> bool:
        return keeping.start(self.folder)

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(str(self.folder / "socket"))
        return connection

    def __call__(self, code: str) -> Any:
        """What the supervisor makes of an expression; ConnectionError if it ended over it."""
        with self.connect() as connection:
            connection.send(code.encode())
            if not (said := connection.recv(65536)):
                raise ConnectionResetError
            return eval(said)

    def kill(self, code: str = "die()") -> None:
        with pytest.raises(ConnectionError):
            self(code)

    @property
    def keeper(self) -> int:
        return int(self("os.getppid()"))

    def gone(self, pid: int) -> bool:
        """Whether the keeper ends; it leaves no socket, and its folder to another one."""
        deadline = time.monotonic() + 20
        while records.began(pid) is not None and time.monotonic() < deadline:
            time.sleep(0.005)
        with (self.folder / "keeper.lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
        return not (self.folder / "socket").exists()


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("k") / "s", monkeypatch)
    yield world
    if (world.folder / "socket").exists():
        keeper = world.keeper
        world.kill("[control.send(b'D' + name.encode()) for name in kept] and os._exit(0) or os._exit(0)")
        if not world.gone(keeper):
            os.kill(keeper, signal.SIGKILL)
            raise AssertionError("the keeper outlived the test")


def test_what_is_kept_outlives_the_supervisor(world: World) -> None:
    assert world.start()
    world("keep('a', 'one'), keep('b', 'two'), keep('a', 'three'), keep('c', 'four'), control.send(b'Dc')")
    for _ in range(3):
        world.kill()
        assert world("{name: read(name) for name in kept}") == {"a": "three", "b": "two"}


def test_a_supervisors_last_words_are_heard(world: World) -> None:
    assert world.start()
    pid = world("orphan('exit 3')")
    assert world("died()") == (pid, 3)
    world.kill(f"[keep(f'k{{i}}', str(i)) for i in range(60)], control.send(b'R{pid}'), die()")
    assert world("sorted(int(read(name)) for name in kept)") == list(range(60))
    assert world("silent()") is True


def test_many_are_handed_over(world: World) -> None:
    assert world.start()
    assert world("room") == resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 32
    count = min(10_000, world("room") // 2)
    assert world(f"[keep(f'{{i:06}}/{'x' * 80}', str(i)) for i in range({count})] and 1") == 1
    world.kill()
    assert world("len(kept), all(int(name[:6]) == int(read(name)) for name in kept)") == (count, True)


def test_an_end_is_told_until_it_is_written_down(world: World) -> None:
    assert world.start()
    pid = world("orphan('exit 7')")
    assert world("died()") == (pid, 7)
    world.kill()
    assert world("died()") == (pid, 7)
    assert records.began(pid, ended=True) is not None  # so that its pid is nobody else's
    world(f"control.send(b'R{pid}')")
    assert world("silent()") is True
    assert records.began(pid, ended=True) is None


def test_each_of_many_ends_is_told_once(world: World) -> None:
    assert world.start()
    pids = world("[orphan(f'exit {i}') for i in range(20)]")
    told = []
    for number in range(len(pids)):
        told.append(world("died()"))
        if number % 7 == 3:
            world.kill()
            told[-1] = world("died()")  # it, or another that has ended by now: what isn't buried is told again
        world(f"control.send(b'R{told[-1][0]}')")
    assert sorted(told) == sorted((pid, code) for code, pid in enumerate(pids))
    assert world("silent()") is True


def test_a_signal_is_an_end_too(world: World) -> None:
    assert world.start()
    pid = world("orphan('kill -9 $(exec sh -c \"echo \\$PPID\")')")
    assert world("died()") == (pid, 137)
    world(f"control.send(b'R1'), control.send(b'Rx'), control.send(b'R'), control.send(b'R{pid}')")
    assert world("silent()") is True


def test_it_ends_with_a_supervisor_that_has_nothing_left(world: World) -> None:
    assert world.start()
    keeper = world.keeper
    world.kill("os._exit(0)")
    assert world.gone(keeper)


def test_who_connects_meanwhile_is_served(world: World) -> None:
    assert world.start()
    keeper = world.keeper
    with world.connect() as last, world.connect() as waiting:
        last.send(b"time.sleep(0.1), os._exit(0)")
        waiting.send(b"os.getppid()")
        assert int(waiting.recv(100)) == keeper


def test_one_that_ends_well_with_something_kept_is_started_by_the_next_client(world: World) -> None:
    assert world.start()
    keeper = world.keeper
    world.kill("keep('a', 'x'), os._exit(0)")
    assert (world.keeper, world("read('a')")) == (keeper, "x")


def test_a_supervisor_that_lets_go_of_its_keeper_is_replaced(world: World) -> None:
    assert world.start()
    pid = world("keep('a', 'x'), os.getpid()")[1]
    world.kill("control.close(), time.sleep(60)")
    assert world("read('a')") == "x"
    assert world("os.getpid()") != pid


def test_there_is_one(world: World) -> None:
    assert world.start()
    keeper = world.keeper
    assert not world.start()
    assert world.keeper == keeper


@pytest.mark.parametrize("command", [["/none"], ["/bin/false"]])
def test_a_supervisor_that_cannot_be_had_is_told(world: World, command: list[str]) -> None:
    world.command = command
    assert world.start()
    with pytest.raises(OSError, match=r"refused|reset|No such file"):
        while True:  # refused once enough were tried
            world("1")
    deadline = time.monotonic() + 20
    while (world.folder / "socket").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not (world.folder / "socket").exists()


def test_what_is_kept_waits_for_a_supervisor_that_can_be_had(world: World) -> None:
    assert world.start()
    world("keep('a', 'x')")
    world.script.write_text("open('starts', 'a').write('x')\nraise SystemExit(1)\n")
    world.kill()
    starts = world.folder / "starts"
    with pytest.raises(OSError):
        world("1")
    assert 4 <= len(starts.read_text()) <= 8  # with pauses that grow
    world.script.write_text(SUPERVISOR)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            assert world("read('a')") == "x"
            break
        except OSError:
            time.sleep(0.05)


def test_the_supervisor_has_what_it_is_to_have(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    leak = os.dup(0)
    for number in (leak, *(fcntl.fcntl(leak, fcntl.F_DUPFD, least) for least in (3, 5, 6, 9, 200))):
        os.set_inheritable(number, True)
    assert world.start()
    os.close(leak)
    # Its own five, the client, and the folder that it reads.
    assert world("len(os.listdir('/proc/self/fd'))") == 7
    assert world("len(os.listdir(f'/proc/{os.getppid()}/fd'))") <= 10
    assert world("'DATABASE_PASSWORD' in os.environ") is False
    assert world("os.umask(0)") == 0o22
    assert world("os.getcwd()") == str(world.folder)
    assert world("signal.pthread_sigmask(signal.SIG_BLOCK, [])") == set()
    assert world("[d for d in os.listdir('/sys/fs/cgroup')]") == ["cgroup"]
    world("os.mkdir('/sys/fs/cgroup/mine')")
    assert not Path("/sys/fs/cgroup/mine").exists()  # in its own mount namespace only


def test_nothing_is_kept_beyond_the_room(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("k")
    small = folder / "keeper"
    small.write_text(f'#!/bin/sh\nulimit -n 128\nexec {native.program("keeper")} "$@"\n')
    small.chmod(0o755)
    heir = Heir(small, folder)
    assert heir.room == 96
    for number in range(300):
        heir.send(b"K%d" % number, 1)
    heir.settle()
    assert 96 <= sum(heir.holds().values()) < 128
    heir.send(b"K0", 1)  # in the place of an older one
    for number in range(300):
        heir.send(b"D%d" % number)
    heir.settle()
    assert not heir.holds()
    assert heir.end() == 0


@settings(max_examples=25)
@given(
    some.lists(some.tuples(some.sampled_from("KKKDRAx"), some.binary(max_size=110), some.integers(0, 3)), max_size=12)
)
def test_whatever_is_said_it_keeps_what_was_given(said: list[tuple[str, bytes, int]]) -> None:
    import tempfile
    from collections import Counter

    with tempfile.TemporaryDirectory() as folder:
        heir = Heir(native.program("keeper"), Path(folder))
        for kind, name, fds in said:
            heir.send(kind.encode() + name, fds)
        heir.settle()
        assert heir.holds() == Counter(heir.kept.values())
        assert heir.end() == 0


def test_an_heir_starts_a_supervisor_with_all_that_was_kept(world: World) -> None:
    heir = Heir(native.program("keeper"), world.folder, *world.command)
    with open(os.memfd_create("m"), "wb", buffering=0) as file:  # noqa: PTH123
        file.write(b"of old")
        heir.control.sendmsg([b"Ka"], rights([file.fileno()]))
    heir.control.close()
    assert world("read('a')") == "of old"
    world.kill("control.send(b'Da'), os._exit(0)")
    os.waitpid(heir.pid, 0)


def test_a_keeper_that_can_do_no_more_ends(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    heir = Heir(native.program("keeper"), folder)
    heir.send(b"Ka", 1)
    shutil.rmtree(folder)
    heir.control.close()
    assert ending(heir.pid) == 1
