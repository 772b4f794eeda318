"""A private network without /dev/net/tun: no way out, and ports carried in by a forwarder of ours."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from oslet.errors import RunError
from oslet.model.instance import Arguments, Instance
from oslet.model.oslet import Tcp
from oslet.run import Wish, await_healthy, execute, find, healthy, network, start, stop
from oslet.run.monitor import Stdio, readable
from tests.run.conftest import Toy

pytestmark = [pytest.mark.slow, pytest.mark.network]

MUCH = 50 << 20
NC = ("/bin/nc", "-ll", "-p", "80", "-e", "/bin/cat")
ECHO = """
import shutil, socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        shutil.copyfileobj(self.request.makefile("rb", 0), self.wfile)
class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 500
with Server(("0.0.0.0", 80), Echo) as server:
    server.serve_forever()
"""


@pytest.fixture(autouse=True)
def no_tun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine without the device, whoever runs this."""
    monkeypatch.setattr(network, "_TUN", tmp_path / "tun")


@pytest.fixture
def port(free_port: int) -> int:
    return free_port


def serve(toy: Toy, port: int, *command: str) -> Instance:
    wish = Wish(name="s", publish=(f"{port}:80",))
    return toy.start(*(command or NC), wish=wish, network="private", ports=("80",), health=Tcp("80"))


@pytest.fixture
def echo(toy: Toy, port: int) -> Iterator[Callable[[], socket.socket]]:
    """What connects to an echo server in the instance's network; this machine's Python, since the toy has none."""
    serve(toy, port, "/bin/sleep", "600")
    record = find(toy.places.state, "s")[1]
    user = ("-U", "--preserve-credentials") if record.rootless else ()
    words = ["nsenter", *user, "-n", "-t", str(record.monitor), "--", sys.executable, "-c", ECHO]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as server:
        try:
            await_healthy(toy.places.state, "s")
            yield lambda: socket.create_connection(("127.0.0.1", port), timeout=30)
        finally:
            server.kill()


def carrier(toy: Toy) -> int:
    return find(toy.places.state, "s")[1].carrier


def descriptors(pid: int) -> list[str]:
    return sorted(str(f.readlink()).split(":")[0] for f in Path(f"/proc/{pid}/fd").iterdir())


def said(connection: socket.socket) -> bytes:
    answer = b""
    while part := connection.recv(1 << 16):
        answer += part
    return answer


def test_the_person_is_told_once(toy: Toy, port: int) -> None:
    told: list[str] = []
    sealed = toy.sealed("/bin/sleep", "9", network="private", ports=("80",))
    wish = Wish(name="s", publish=(f"{port}:80",))
    start(sealed, Arguments({}), wish, toy.tools, toy.places, notice=told.append)
    assert told == [
        f"no way out of this instance: {network._TUN} is missing; its ports are forwarded "
        "(--network host shares the machine's network)"
    ]


def test_many_at_once(echo: Callable[[], socket.socket]) -> None:
    opened = [echo() for _ in range(200)]
    for number, connection in enumerate(opened):
        connection.sendall(b"%d" % number)
        connection.shutdown(socket.SHUT_WR)
    answers = []
    for connection in opened:
        with connection:
            answers.append(said(connection))
    assert answers == [b"%d" % n for n in range(200)]


def test_much_both_ways_with_a_half_close(echo: Callable[[], socket.socket]) -> None:
    block = os.urandom(1 << 20)
    with echo() as connection, ThreadPoolExecutor() as pool:

        def send() -> None:
            for _ in range(MUCH >> 20):
                connection.sendall(block)
            connection.shutdown(socket.SHUT_WR)

        sending = pool.submit(send)
        got = bytearray()
        while part := connection.recv(1 << 18):
            got += part
        sending.result()
    assert got == block * (MUCH >> 20)


def test_a_slow_reader_holds_the_writer_and_nobody_else(toy: Toy, echo: Callable[[], socket.socket]) -> None:
    block = bytes(1 << 16)
    with echo() as slow, echo() as other:
        slow.settimeout(0.3)
        sent = 0
        with pytest.raises(TimeoutError):  # until every buffer on the way is full
            while sent < 1 << 30:
                sent += slow.send(block)
        other.sendall(b"x")
        assert other.recv(9) == b"x"
        slow.settimeout(30)
        got = 0
        while got < sent:
            got += len(slow.recv(1 << 18))


def test_nobody_listens(toy: Toy, port: int) -> None:
    serve(toy, port, "/bin/sleep", "60")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        assert connection.recv(1) == b""
    assert not healthy(toy.places.state, "s")


def test_a_reset_is_passed_on(echo: Callable[[], socket.socket]) -> None:
    connection = echo()
    connection.sendall(b"x")
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    with echo() as other:
        other.sendall(b"y")
        assert other.recv(1) == b"y"


def test_a_port_that_is_taken(toy: Toy, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), pytest.raises(RunError, match="taken by another program"):
        serve(toy, port)
    serve(toy, port)
    with pytest.raises(RunError, match="taken by the instance 's'"):
        toy.start("/bin/sleep", "9", wish=Wish(name="t", publish=(f"{port}:81",)), network="private", ports=("81",))


def test_it_goes_with_the_instance(toy: Toy, port: int) -> None:
    for _ in range(2):  # the port is free again at once
        serve(toy, port)
        forwarder = carrier(toy)
        assert forwarder
        stop(toy.places.state, "s", grace=0)
        assert not Path(f"/proc/{forwarder}").exists()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)


def test_it_goes_with_a_killed_monitor(toy: Toy, port: int) -> None:
    serve(toy, port)
    record = find(toy.places.state, "s")[1]
    watched = os.pidfd_open(record.carrier)
    os.kill(record.monitor, signal.SIGKILL)
    assert readable(watched, 30)
    os.close(watched)


def test_last_words_arrive(toy: Toy, port: int, echo: Callable[[], socket.socket]) -> None:
    """What was on its way when the instance ended; the client's small buffer leaves most of it to the forwarder."""
    block = os.urandom(1 << 20)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", port))
        connection.sendall(block)
        connection.shutdown(socket.SHUT_WR)
        os.kill(find(toy.places.state, "s")[1].monitor, signal.SIGKILL)
        assert said(connection) == block


def test_a_loopback_without_any_port(toy: Toy) -> None:
    code, out, _ = toy.run("/bin/sh", "-c", "httpd -p 127.0.0.1:80 -h /etc && echo up", network="private")
    assert (code, out) == (0, "up\n")


def test_the_other_loopback(toy: Toy, port: int) -> None:
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    serve(toy, port, "/bin/httpd", "-f", "-p", "[::1]:80", "-h", "/etc")
    await_healthy(toy.places.state, "s")


def test_links_beyond_the_bound_wait_their_turn() -> None:
    from _socket import socket as plain

    from oslet.run.carry import Forwarder

    life, held = os.pipe()
    with socket.create_server(("127.0.0.1", 0), backlog=50) as door, ThreadPoolExecutor(40) as pool:
        with socket.create_server(("127.0.0.1", 0), backlog=50) as application:
            application.settimeout(30)
            address, target = door.getsockname(), application.getsockname()[1]
            listener = plain(fileno=os.dup(door.fileno()))
            listener.setblocking(False)
            serving = pool.submit(Forwarder({listener.fileno(): (listener, target)}, life, 2).serve)

            def ask(number: int) -> bytes:
                with socket.create_connection(address, timeout=30) as connection:
                    connection.sendall(b"%d" % number)
                    return connection.recv(9)

            def answer(connection: socket.socket) -> None:
                with connection:
                    connection.sendall(connection.recv(9))

            asked = [pool.submit(ask, number) for number in range(20)]
            for _ in asked:
                pool.submit(answer, application.accept()[0])
            assert [a.result() for a in asked] == [b"%d" % n for n in range(20)]
        os.close(held)
        serving.result(30)
    os.close(life)


def test_what_is_open(toy: Toy, port: int) -> None:
    kept = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        serve(toy, port)
    finally:
        os.close(kept)
    await_healthy(toy.places.state, "s")
    reading, writing = os.pipe()
    execute(toy.places.state, "s", ("/bin/ls", "-l", "/proc/1/fd"), stdio=Stdio(Path("/dev/null"), writing, writing))
    os.close(writing)
    with os.fdopen(reading) as listed:
        lines = [line for line in listed if " -> " in line]
    assert len(lines) == 4, lines  # 0, 1, 2, and the application's own socket
    log = str(toy.places.state / "instances" / find(toy.places.state, "s")[1].id / "network.log")
    assert descriptors(carrier(toy)) == sorted(["/dev/null", log, log, "pipe", "socket", "anon_inode"])
