"""The network of instances: who reaches whom, and what answers where."""

from __future__ import annotations

import os
import select
import socket
import time
from _socket import socket as plain
from ipaddress import IPv4Address
from threading import Event, Thread

import pytest

from oslet.errors import RunError
from oslet.run.net import carry, links, nft
from oslet.run.net.netlink import NETFILTER, ROUTE, Netlink
from oslet.run.records import Published
from tests.run.wired import MACHINE, OTHER, WORLD, Wired, wired

UDP = socket.SOCK_DGRAM
NO_WAY = ("No route to host", "silence", "Network is unreachable")


@wired
def test_a_parked_slot_is_deaf_and_mute(wire: Wired) -> None:
    """Until it is opened it reaches nobody, no name is told to it, and its own network's instances don't reach it."""
    wire.world_serves(80)
    peer = wire.start("peer", "shop")
    parked = wire.net.plug("shop", "p")
    wire.serve(parked, 80)
    wire.serve(peer, 80)
    assert wire.says(parked, peer.address, 80) in NO_WAY
    assert wire.says(parked, WORLD, 80) in NO_WAY
    assert wire.says(peer, parked.address, 80) in NO_WAY
    assert wire.looks_up(parked, "peer") == "silence"
    wire.net.open(parked, "taken", (), None)
    assert wire.says(parked, peer.address, 80) == "hello"
    assert wire.looks_up(parked, "peer") == [peer.address]


@wired
def test_networks_keep_to_themselves(wire: Wired) -> None:
    a, b = wire.start("a"), wire.start("b")
    web, db, other = wire.start("web", "shop"), wire.start("db", "shop"), wire.start("other", "blog")
    for plug in (a, b, web, db, other):
        wire.serve(plug, 80)
    assert wire.says(web, db.address, 80) == "hello"
    assert wire.says(a, b.address, 80) in NO_WAY
    assert wire.says(other, db.address, 80) in NO_WAY
    assert wire.says(a, db.address, 80) in NO_WAY


@wired
def test_peers_are_found_by_name(wire: Wired) -> None:
    web, db = wire.start("web", "shop"), wire.start("Db", "shop")
    alone = wire.start("alone")
    assert (
        wire.looks_up(web, "db") == wire.looks_up(web, "DB.shop") == wire.looks_up(web, "db", tcp=True) == [db.address]
    )
    assert wire.looks_up(web, "db", "AAAA") == []  # there is such a name, so that nobody gives up on it
    assert wire.looks_up(web, "alone") == wire.looks_up(web, "nobody.shop") == "NXDOMAIN"
    assert wire.looks_up(alone, "db") == "NXDOMAIN"
    assert f"nameserver {web.gateway}" in web.resolv
    wire.net.close(db)
    assert wire.looks_up(web, "db") == "NXDOMAIN"


@wired
def test_a_way_out_with_the_names_of_the_world(wire: Wired) -> None:
    wire.world_serves(80)
    app = wire.start("app")
    wire.need_way_out()
    assert wire.looks_up(app, "api.example.com") == wire.looks_up(app, "API.example.com") == [WORLD]
    assert wire.looks_up(app, "nothing.example.com") == "NXDOMAIN"
    assert wire.says(app, WORLD, 80) == "hello"


@wired
def test_without_a_way_out_a_name_fails_at_once(wire: Wired) -> None:
    app = wire.start("app")
    wire.net._way.obstacle = "there is none"
    assert wire.looks_up(app, "api.example.com") == "NXDOMAIN"


@wired
def test_published_ports_answer_and_no_others(wire: Wired) -> None:
    ports = (
        Published(80, 8080, "127.0.0.1"), Published(80, 8081, "0.0.0.0"), Published(80, 8082, MACHINE),
        Published(53, 5353, "127.0.0.1", "udp"), Published(53, 5354, "0.0.0.0", "udp"), Published(80, 8083, "::1"),
    )  # fmt: skip
    app = wire.start("app", "private", *ports)
    for kind in (socket.SOCK_STREAM, UDP):
        wire.serve(app, 80 if kind != UDP else 53, kind)
    wire.serve(app, 81)
    assert wire.says(None, "127.0.0.1", 8080) == wire.says(None, "127.0.0.1", 8081) == "hello"
    assert wire.world_says(MACHINE, 8081) == wire.world_says(MACHINE, 8082) == "hello"
    assert wire.world_says(MACHINE, 8080) != "hello"
    assert wire.says(None, "127.0.0.1", 5353, UDP) == wire.world_says(MACHINE, 5354, UDP) == "hello"
    assert wire.says(None, app.address, 81) != "hello"
    assert wire.world_says(app.address, 81) != "hello"
    with socket.create_connection(("::1", 8083), 3) as six:
        six.sendall(b"hello")
        assert six.recv(9) == b"hello"
    wire.net.close(app)
    assert wire.says(None, "127.0.0.1", 8080) == "Connection refused"


@wired
def test_much_passes_through_a_published_port(wire: Wired) -> None:
    """And the end of one direction leaves the other as it was."""
    app = wire.start("app", "private", Published(80, 8080, "127.0.0.1"))
    wire.serve(app, 80)
    much = os.urandom(1 << 20) * 8
    with socket.create_connection(("127.0.0.1", 8080), 10) as end:

        def send() -> None:
            end.sendall(much)
            end.shutdown(socket.SHUT_WR)

        Thread(target=send).start()
        back = bytearray()
        while part := end.recv(1 << 16):
            back += part
    assert back == much


@wired
def test_many_and_slow_ones_at_once(wire: Wired) -> None:
    """Two hundred clients of the forwarder; one that doesn't read holds up nobody but who writes to it."""
    app = wire.start("app", "private", Published(80, 8080, "::1"))
    wire.serve(app, 80)
    opened = [socket.create_connection(("::1", 8080), 10) for _ in range(200)]
    slow, *others = opened
    slow.settimeout(0.2)
    sent = 0
    with pytest.raises(TimeoutError):  # until every buffer on the way is full
        while sent < 1 << 30:
            sent += slow.send(bytes(1 << 16))
    for number, other in enumerate(others):
        other.sendall(b"%d" % number)
        other.shutdown(socket.SHUT_WR)
    got = [other.recv(9) for other in others]
    assert got == [b"%d" % number for number in range(199)], got
    slow.settimeout(10)
    while sent > 0:
        sent -= len(slow.recv(1 << 18))
    for each in opened:
        each.close()


def test_links_beyond_the_bound_wait_their_turn() -> None:
    poll = select.epoll()
    carried = carry.Links(poll, 2)
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_server(("127.0.0.1", 0)) as application:
        carried.open(1, plain(fileno=os.dup(door.fileno())), application.getsockname())
        clients = [socket.create_connection(door.getsockname(), 5) for _ in range(3)]
        for descriptor, _ in poll.poll(1):
            carried.ready(descriptor)
        first = {*carried.sides}
        assert len(first) == 4 and not carried.accepting
        carried.tend()
        assert not carried.accepting
        for side in list(carried.sides.values()):
            carried.forget(side)
        carried.tend()
        for descriptor, _ in poll.poll(1):
            carried.ready(descriptor)
        assert len(carried.sides) == 2
        for side in list(carried.sides.values()):
            carried.forget(side)
        for client in clients:
            client.close()
        carried.close(lambda key: key == 1)
    poll.close()


@wired
def test_last_words_arrive(wire: Wired) -> None:
    """What an application wrote before it ended is read by a client that takes its time."""
    app = wire.start("app", "private", Published(80, 8080, "127.0.0.1"))
    much = os.urandom(1 << 18)

    def speak() -> None:
        with socket.create_server(("0.0.0.0", 80)) as server:
            ready.set()
            with server.accept()[0] as client:
                client.sendall(much)

    ready = Event()
    speaker = Thread(target=lambda: wire.inside(app, speak))
    speaker.start()
    assert ready.wait(5)
    with socket.create_connection(("127.0.0.1", 8080), 5) as end:
        back = bytearray(end.recv(1000))
        speaker.join()
        wire.net.close(app)
        while part := end.recv(1 << 16):
            back += part
            time.sleep(0.01)
    assert back == much


@wired
def test_beside_anothers_firewall_root_goes_the_users_way(wire: Wired) -> None:
    """As on a machine with Docker, which drops what it doesn't know."""
    wire.need_root()
    tables, docker = Netlink(NETFILTER), nft.Table("docker")
    nft.commit(tables, [docker.made(), docker.hook("forward", "filter", nft.FORWARD, 0, nft.DROP)])
    try:
        app = wire.start("app", "private", Published(80, 8080, "127.0.0.1"))
        wire.serve(app, 80)
        wire.world_serves(80)
        assert wire.says(None, "127.0.0.1", 8080) == "hello"
        wire.need_way_out()
        assert wire.says(app, WORLD, 80) == "hello"
    finally:
        nft.commit(tables, [docker.removed()])


@wired
def test_a_port_that_is_taken_names_who_has_it(wire: Wired) -> None:
    wire.start("first", "private", Published(80, 8080, "127.0.0.1"))
    plug = wire.net.plug("private", "second")
    with pytest.raises(RunError, match="taken by the instance 'first'"):
        wire.net.open(plug, "second", (Published(80, 8081, "127.0.0.1"), Published(80, 8080, "127.0.0.1")), None)
    with socket.create_server(("127.0.0.1", 8082)), pytest.raises(RunError, match="taken by another program"):
        wire.net.open(plug, "second", (Published(80, 8082, "127.0.0.1"),), None)
    wire.net.open(plug, "second", (Published(80, 8081, "127.0.0.1"),), None)  # it was given back
    wire.serve(plug, 80)
    assert wire.says(None, "127.0.0.1", 8081) == "hello"


@wired
def test_only_what_is_allowed_is_reached(wire: Wired) -> None:
    for number, address in ((80, WORLD), (81, WORLD), (80, OTHER)):
        wire.world_serves(number, address)
    free = wire.start("free", "shop")
    wire.need_way_out()
    wire.serve(free, 80)
    none = wire.start("none", "shop", allow=())
    net = wire.start("net", allow=("198.51.100.0/24", "10.0.0.0/8"))
    port = wire.start("port", allow=(f"{WORLD}:80",))
    assert wire.says(free, WORLD, 80) == wire.says(net, WORLD, 80) == wire.says(port, WORLD, 80) == "hello"
    assert wire.says(net, WORLD, 81) == wire.says(free, OTHER, 80) == "hello"
    for plug, address, number in (
        (none, WORLD, 80), (net, OTHER, 80), (port, WORLD, 81), (port, OTHER, 80), (none, free.address, 80),
        (net, free.address, 80),
    ):  # fmt: skip
        assert wire.says(plug, address, number) in NO_WAY
    assert wire.looks_up(none, "api.example.com") == "NXDOMAIN"
    peer = wire.start("peer", "shop", allow=("free:80",))
    assert wire.looks_up(peer, "free") == [free.address]
    assert wire.says(peer, free.address, 80) == "hello"


@wired
def test_an_allowed_name_opens_the_way_to_where_it_leads(wire: Wired) -> None:
    for port, address in ((80, WORLD), (80, OTHER)):
        wire.world_serves(port, address)
    app = wire.start("app", allow=("api.example.com:80", "evil.example.com"))
    wire.need_way_out()
    wire.serve(None, 8000, address=MACHINE)
    assert wire.says(app, WORLD, 80) in NO_WAY
    assert wire.looks_up(app, "api.example.com") == [WORLD]
    assert wire.says(app, WORLD, 80) == "hello"
    assert wire.looks_up(app, "other.example.com") == "NXDOMAIN"
    assert wire.looks_up(app, "evil.example.com") == [MACHINE]
    assert wire.says(app, MACHINE, 8000) in NO_WAY  # a name of the world isn't a way to the machine


@wired
def test_the_machine_itself_is_reached_only_if_allowed(wire: Wired) -> None:
    app, may = wire.start("app"), wire.start("may", allow=(f"{MACHINE}:8000",))
    wire.need_way_out()
    for address in ("127.0.0.1", MACHINE):
        wire.serve(None, 8000, address=address)
    gateway = app.gateway.rpartition(".")[0].rpartition(".")[0]
    for address in (MACHINE, f"{gateway}.255.253", f"{gateway}.254.2", app.gateway):
        assert wire.says(app, address, 8000) != "hello"
    assert wire.says(may, MACHINE, 8000) == "hello"


@wired
def test_no_instance_speaks_under_anothers_address(wire: Wired) -> None:
    web, db = wire.start("web", "shop"), wire.start("db", "shop")
    wire.serve(db, 53, UDP)

    def spoof() -> str:
        Netlink(ROUTE).ask([links.address(socket.if_nametoindex("eth0"), db_peer, 32)])
        with socket.socket(socket.AF_INET, UDP) as end:
            end.bind((str(db_peer), 0))
            end.settimeout(0.5)
            end.sendto(b"hello", (db.address, 53))
            try:
                return end.recv(9).decode()
            except TimeoutError:
                return "silence"

    db_peer = IPv4Address(wire.start("third", "shop").address)
    assert wire.inside(web, spoof) == "silence"
