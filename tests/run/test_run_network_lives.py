"""The network of instances outlives its supervisor and what carries it; and nothing is left of it."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

from oslet.run import records
from oslet.run.net import links, nft
from oslet.run.net.netlink import NETFILTER, ROUTE, Netlink
from oslet.run.records import Published
from tests.run.wired import WORLD, Wired, wired


@wired
def test_a_new_supervisor_adopts_what_runs(wire: Wired) -> None:
    """Ports answer in between; names, lists and ends go on; what nobody adopts is closed."""
    ports = Published(80, 8080, "127.0.0.1"), Published(80, 8081, "::1")
    app = wire.start("app", "shop", *ports)
    gone = wire.start("gone", "shop", Published(80, 8082, "127.0.0.1"), allow=())
    listed = wire.start("listed", "shop", allow=("app:80",))
    held = {plug: os.dup(wire.net.namespace(plug)) for plug in (app, gone, listed)}
    wire.serve(app, 80)
    wire.net.leave()
    assert wire.says(None, "127.0.0.1", 8080) == "hello"
    wire.net = wire.networks()
    wire.net._spaces.update({plug.id: fd for plug, fd in held.items()})
    wire.net.adopt(app, "app", ports, None)
    wire.net.adopt(listed, "listed", (), ("app:80",))
    wire.net.settle()
    assert wire.says(None, "127.0.0.1", 8080) == "hello"
    assert wire.looks_up(listed, "app") == [app.address]
    assert wire.says(listed, app.address, 80) == "hello"
    assert wire.looks_up(gone, "app") == "silence"
    assert wire.says(None, "127.0.0.1", 8082) == "Connection refused"
    fresh = wire.start("fresh", "shop", Published(80, 8082, "127.0.0.1"))
    assert fresh.address not in (app.address, gone.address, listed.address)
    assert wire.says(fresh, app.address, 80) == "hello"
    wire.net.close(app)
    assert wire.says(None, "127.0.0.1", 8080) == "Connection refused"


@wired
def test_what_carries_may_die(wire: Wired) -> None:
    app = wire.start("app", "private", Published(80, 8080, "::1"))
    wire.serve(app, 80)
    for pid in carriers():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    wire.net.tend()
    if not wire.net.obstacle:
        wire.world_serves(80)
        assert wire.says(app, WORLD, 80) == "hello"
    with socket.create_connection(("::1", 8080), 3) as end:
        end.sendall(b"hello")
        assert end.recv(9) == b"hello"


@wired
def test_the_machines_rules_may_be_emptied(wire: Wired) -> None:
    """As by ``nft flush ruleset``: what was there comes back, also to a new supervisor."""
    wire.need_root()
    port = Published(80, 8080, "127.0.0.1")
    app = wire.start("app", "private", port)
    wire.serve(app, 80)
    wire.world_serves(80)

    def empty() -> None:
        tables = Netlink(NETFILTER)
        name = next(base.table for base in nft.bases(tables))
        nft.commit(tables, [nft.Table(name).removed()])

    empty()
    assert wire.says(app, WORLD, 80) != "hello"
    wire.net.tend()
    assert wire.says(app, WORLD, 80) == wire.says(None, "127.0.0.1", 8080) == "hello"
    space = os.dup(wire.net.namespace(app))
    wire.net.leave()
    empty()
    wire.net = wire.networks()
    wire.net._spaces[app.id] = space
    wire.net.adopt(app, "app", (port,), None)
    wire.net.settle()
    assert wire.says(app, WORLD, 80) == wire.says(None, "127.0.0.1", 8080) == "hello"


@wired
def test_a_machine_that_forwarded_nothing_is_one_again(wire: Wired) -> None:
    """Once the last of two users' networks is gone; until then it forwards for them alone."""
    wire.need_root()
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    before = forwarding.read_text()
    forwarding.write_text("0")
    wire.start("app")
    other = Wired(wire.state / "other", wire._world, wire.root)
    other.state.mkdir()
    other.start("app")
    assert [base.chain for base in nft.bases(Netlink(NETFILTER))].count("router") == 2
    wire.net.shut()
    assert forwarding.read_text() == "1\n"
    other.net.shut()
    assert forwarding.read_text() == "0\n"
    forwarding.write_text(before)
    wire.net = wire.networks()


@wired
def test_nothing_is_left(wire: Wired) -> None:
    before = state(wire)
    wire.net.shut()
    empty = state(wire)
    wire.net = wire.networks()
    app = wire.start("app", "shop", Published(80, 8080, "127.0.0.1"), Published(80, 8081, "::1"), allow=("a:1",))
    wire.net.close(app)
    wire.start("other")
    wire.net.plug("private", "parked")
    wire.net.shut()
    for _ in range(200):
        if not carriers():
            break
        time.sleep(0.02)
    assert wire.kept == {}
    assert state(wire) == before == empty
    wire.net = wire.networks()


def state(wire: Wired) -> object:
    """What the machine's network is made of, and which processes carry anything."""
    route, tables = Netlink(ROUTE), Netlink(NETFILTER)
    forwarding = Path("/proc/sys/net/ipv4/ip_forward").read_text()
    rules = nft.bases(tables) if wire.root else ()  # nobody else may ask
    return [*links.links(route)], [*links.routes(route)], rules, forwarding, carriers()


def carriers() -> list[int]:
    """Processes of this user that carry ports or lead out."""
    found = []
    for pid in records.descendants(os.getpid()):
        with suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_text()
            if "forward.py" in command or "slirp4netns" in command:
                found.append(pid)
    return found
