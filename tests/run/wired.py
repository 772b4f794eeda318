"""A machine of its own for a test of the network: a namespace that plays the machine, with an outer world at its eth0.

``wired`` runs the test in a process of its own, once as root of the machine and once as an ordinary user there, so that
neither the network of this machine is touched nor a right on it needed.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from threading import Thread
from typing import TextIO, TypeVar

from oslet.run.net import links, names, namespace
from oslet.run.net.netlink import ROUTE, Netlink
from oslet.run.net.plug import Plug
from oslet.run.net.switch import Networks
from oslet.run.records import Published

MACHINE, WORLD, OTHER = "198.51.100.1", "198.51.100.2", "203.0.113.9"
NAMES = {"api.example.com": WORLD, "other.example.com": OTHER, "evil.example.com": MACHINE}
_ROOT = Path(__file__).parents[2]
_T = TypeVar("_T")


def wired(test: Callable[[Wired], None]) -> Callable[[str], None]:
    """Make a function a test that is run as root and as an ordinary user of a machine of its own."""
    import pytest

    @pytest.mark.slow
    @pytest.mark.parametrize("who", ["root", "user"])
    def run(who: str) -> None:
        told = _machine(who).ask(f"{test.__module__}:{test.__name__}")
        if told.startswith("skip "):
            pytest.skip(told[5:])
        assert told == "good", told

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    run.wired = test  # type: ignore[attr-defined]
    return run


class Machine:
    """A process in a machine of its own, which runs tests as they are asked for."""

    def __init__(self, who: str) -> None:
        words = ["unshare", "-Urn", sys.executable, "-m", "tests.run.wired", who]
        self._process = subprocess.Popen(words, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, place: str) -> str:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(place + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        return str(json.loads(line)) if line else "the machine has ended"

    def end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


@cache
def _machine(who: str) -> Machine:
    machine = Machine(who)
    atexit.register(machine.end)
    return machine


class MissingError(Exception):
    """What a test needs isn't here."""


class Wired:
    """A user's networks, what a keeper keeps of them, and ways to speak from here and there."""

    def __init__(self, state: Path, world: TextIO, root: bool) -> None:
        self.state, self.root = state, root
        self._world = world
        self.kept: dict[str, int] = {}
        self.net = self.networks()

    def networks(self) -> Networks:
        """What a supervisor has, from what is kept."""
        slirp4netns = shutil.which("slirp4netns", path=f"{os.environ['PATH']}:/usr/local/bin:/usr/bin")
        kept = {name: os.dup(fd) for name, fd in self.kept.items()}
        return Networks(self.state, self.keep, self.drop, kept, Path(slirp4netns) if slirp4netns else None)

    def keep(self, name: str, fd: int) -> None:
        if name in self.kept:
            os.close(self.kept[name])
        self.kept[name] = os.dup(fd)

    def drop(self, name: str) -> None:
        if name in self.kept:
            os.close(self.kept.pop(name))

    def start(self, name: str, network: str = "private", *ports: Published, allow: Sequence[str] | None = None) -> Plug:
        plug = self.net.plug(network, f"id-{name}")
        self.net.open(plug, name, ports, allow)
        return plug

    def need_way_out(self) -> None:
        if self.net.obstacle:
            raise MissingError(self.net.obstacle)

    def need_root(self) -> None:
        if not self.root:
            raise MissingError("that is root's")

    def inside(self, plug: Plug, work: Callable[[], _T]) -> _T:
        """What ``work`` says in an instance's network."""
        return within(self.net.namespace(plug), work)

    def serve(self, plug: Plug | None, port: int, kind: int = socket.SOCK_STREAM, address: str = "0.0.0.0") -> None:
        """Echo there, for ever: in an instance, or on the machine."""
        if plug:
            self.inside(plug, lambda: _serve(address, port, kind))
        else:
            _on_machine(address, port, kind)

    def says(self, plug: Plug | None, address: str, port: int, kind: int = socket.SOCK_STREAM) -> str:
        """What answers at an address, as asked from an instance, or the machine: ``hello``, or why nothing."""
        return self.inside(plug, lambda: _ask(address, port, kind)) if plug else _ask(address, port, kind)

    def world_serves(self, port: int, address: str = WORLD) -> None:
        self._in_world("serve", address, port, socket.SOCK_STREAM)

    def world_says(self, address: str, port: int, kind: int = socket.SOCK_STREAM) -> object:
        return self._in_world("ask", address, port, kind)

    def _in_world(self, *words: object) -> object:
        self._world.write(json.dumps(words) + "\n")
        self._world.flush()
        return json.loads(self._world.readline())

    def looks_up(self, where: Plug, name: str, kind: str = "A", *, tcp: bool = False) -> list[str] | str:
        """The answers to a name, or its error."""
        from dnslib import RCODE, DNSRecord

        def ask() -> list[str] | str:
            asked = DNSRecord.question(name, kind)
            try:
                told = DNSRecord.parse(asked.send(where.gateway, 53, tcp=tcp, timeout=0.8))
            except TimeoutError:
                return "silence"
            except OSError as error:
                return error.strerror or "refused"
            code = RCODE[told.header.rcode]
            return [str(record.rdata) for record in told.rr if record.rtype == 1] if code == "NOERROR" else str(code)

        return self.inside(where, ask)


def within(fd: int, work: Callable[[], _T]) -> _T:
    """Call something in a network namespace."""
    with ThreadPoolExecutor(1, initializer=namespace.enter, initargs=(fd,)) as pool:
        return pool.submit(work).result()


def _serve(address: str, port: int, kind: int) -> None:
    Thread(target=_echo, args=(_bound(address, port, kind),), daemon=True).start()


_on_machine = cache(_serve)  # a test leaves it to those after it


def _bound(address: str, port: int, kind: int) -> socket.socket:
    server = socket.socket(socket.AF_INET, kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, port))
    if kind == socket.SOCK_STREAM:
        server.listen(512)
    return server


def _echo(server: socket.socket) -> None:
    def answer(client: socket.socket) -> None:
        with client:
            while said := client.recv(1 << 16):
                client.sendall(said)

    while True:
        if server.type == socket.SOCK_DGRAM:
            said, client = server.recvfrom(1 << 16)
            server.sendto(said, client)
        else:
            Thread(target=answer, args=(server.accept()[0],), daemon=True).start()


def _ask(address: str, port: int, kind: int) -> str:
    with socket.socket(socket.AF_INET, kind) as end:
        end.settimeout(0.4)
        try:
            end.connect((address, port))
            end.send(b"hello")
            return end.recv(100).decode()
        except OSError as error:
            return error.strerror or "silence"


def _resolve(server: socket.socket) -> None:
    """A resolver of the world: NAMES, and nothing else."""
    from dnslib import QTYPE, RCODE, RR, A, DNSRecord

    while True:
        message, client = server.recvfrom(4096)
        asked = DNSRecord.parse(message)
        told = asked.reply()
        address = NAMES.get(str(asked.q.qname).lower().rstrip("."))
        if address is None:
            told.header.rcode = RCODE.NXDOMAIN
        elif asked.q.qtype == QTYPE.A:
            told.add_answer(RR(asked.q.qname, QTYPE.A, rdata=A(address), ttl=60))
        server.sendto(told.pack(), client)


def _world() -> int:
    """The outer world at this namespace's eth0, with a resolver."""
    here = Netlink(ROUTE)

    def lay(fd: int) -> int:
        there = Netlink(ROUTE)
        here.ask([
            links.cable(links.End(7, "eth0", b"\2\0\0\0\1\1"), links.End(7, "eth0", b"\2\0\0\0\1\2"), fd),
            links.address(7, IPv4Address(MACHINE), 24),
            links.up(1),
            links.route(IPv4Network("0.0.0.0/0"), 7, IPv4Address(WORLD)),
        ])  # fmt: skip
        there.ask([
            links.up(1), links.up(7),
            links.address(7, IPv4Address(WORLD), 24), links.address(1, IPv4Address(OTHER), 32),
        ])  # fmt: skip
        Thread(target=_resolve, args=(_bound(WORLD, 53, socket.SOCK_DGRAM),), daemon=True).start()
        return fd

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: lay(namespace.fresh())).result()


def _play(who: str) -> None:
    """As the machine: run tests in a process of their own, and do in the outer world what they ask for."""
    world = _world()
    ours, its = socket.socketpair()
    user = ["unshare", "-Ur"] if who == "user" else []
    serve = cache(_serve)
    words = [*user, sys.executable, "-m", "tests.run.wired", str(its.fileno()), who]
    with subprocess.Popen(words, pass_fds=[its.fileno()]):
        its.close()
        lines = ours.makefile("rw")
        for line in lines:
            what, *rest = json.loads(line)
            said = within(world, partial(_ask if what == "ask" else serve, *rest))
            lines.write(json.dumps(said) + "\n")
            lines.flush()


def _tests(world: TextIO, root: bool) -> None:
    """Run the tests that standard input names; say of each how it ended."""
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for place in sys.stdin:
        said.write(json.dumps(_test(place.strip(), world, root)) + "\n")
        said.flush()


def _test(place: str, world: TextIO, root: bool) -> str:
    module, _, name = place.partition(":")
    test = getattr(importlib.import_module(module), name).wired
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        (state / "resolv.conf").write_text(f"nameserver {WORLD}\nsearch example.org\n")
        names._CONFIGURATION = state / "resolv.conf"
        wire = Wired(state, world, root)
        try:
            test(wire)
        except MissingError as skipped:
            return f"skip {skipped}"
        except BaseException:
            log = state / "network.log"
            return traceback.format_exc() + (log.read_text() if log.exists() else "")
        finally:
            wire.net.shut()
    return "good"


if __name__ == "__main__":
    if sys.argv[1] in ("root", "user"):
        _play(sys.argv[1])
    else:
        _tests(socket.socket(fileno=int(sys.argv[1])).makefile("rw"), sys.argv[2] == "root")
