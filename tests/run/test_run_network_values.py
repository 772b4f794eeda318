"""The network's values: what may be reached, addresses, and the domain name system's messages."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from dnslib import QTYPE, RR, A, DNSQuestion, DNSRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from oslet.errors import RunError
from oslet.run.net import dns
from oslet.run.net.allowing import allowed
from oslet.run.net.plug import Plug, check
from oslet.run.net.pool import Pool, unused
from oslet.run.network import published
from oslet.run.records import Published

LABEL = st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True)
NAME = st.lists(LABEL, min_size=1, max_size=8).map(".".join)
ADDRESS = st.ip_addresses(v=4)


def test_what_is_allowed_is_read() -> None:
    read = allowed(("api.example.com", "API.example.com.:443", "10.1.2.3", "10.1.2.3:80", "10.0.0.0/8", "db"))
    assert read.names == {"api.example.com": {0, 443}, "db": {0}}
    assert read.reach.hosts == ((IPv4Address("10.1.2.3"), 0), (IPv4Address("10.1.2.3"), 80))
    assert read.reach.nets == (IPv4Network("10.0.0.0/8"),)


@pytest.mark.parametrize(
    "entry", ["", ":80", "a:0", "a:65536", "a:x", "10.0.0.0/33", "a b", "1.2.3", "[::1]:80", "a/8"]
)
def test_what_is_no_address_to_allow_is_refused(entry: str) -> None:
    with pytest.raises(RunError, match="allow"):
        allowed((entry,))


@pytest.mark.parametrize("name", ["", "Shop", "a.b", "-a", "a-", "a b", "a/b", "a" * 64])
def test_what_is_no_name_of_a_network(name: str) -> None:
    assert check("shop-2") == "shop-2"
    with pytest.raises(RunError, match="network's name"):
        check(name)


def test_ports_are_published_for_either_protocol() -> None:
    assert published(("53",), ("5353:53/udp", "0.0.0.0:5300:53")) == (
        Published(53, 5300, "0.0.0.0"),
        Published(53, 5353, "127.0.0.1", "udp"),
    )
    with pytest.raises(RunError, match="tcp or udp"):
        published((), ("53:53/sctp",))


@settings(max_examples=30)
@given(st.lists(st.tuples(ADDRESS, st.integers(1, 32)), max_size=40), st.integers(0, 1 << 40))
def test_the_pool_overlaps_nothing(nets: list[tuple[IPv4Address, int]], first: int) -> None:
    taken = [IPv4Network(net, strict=False) for net in nets]
    try:
        found = unused(taken, first)
    except RunError:
        return
    assert found.is_private and found.prefixlen == 16
    assert not any(found.overlaps(net) for net in taken)


def test_an_address_is_used_again_as_late_as_can_be() -> None:
    pool = Pool(IPv4Network("10.9.0.0/16"), [IPv4Address("10.9.0.7")])
    first = pool.take()
    assert first == IPv4Address("10.9.0.8")
    pool.give(first)
    pool.give(first)  # a second time is nothing
    rest = [pool.take() for _ in range(0xFDFF - 2)]
    assert rest[-1] == first and len({*rest}) == len(rest)
    assert not {pool.gateway, IPv4Address("10.9.0.7"), IPv4Address("10.9.254.100")} & {*rest}
    with pytest.raises(RunError, match="in use"):
        pool.take()


@given(st.integers(0, 0xFFFF))
def test_a_cable_is_found_by_its_address(low: int) -> None:
    address = IPv4Address((10 << 24) + low)
    assert Plug("", "", 1, str(address), "", "").index == 0x10000 + low


@settings(max_examples=30)
@given(NAME, st.sampled_from(["A", "AAAA", "TXT", "PTR"]), st.lists(ADDRESS, max_size=5))
def test_questions_and_answers_are_what_dnslib_makes_of_them(name: str, kind: str, found: list[IPv4Address]) -> None:
    made = DNSRecord.question(name, kind)
    asked = dns.query(bytes(made.pack()))
    assert asked and (asked.name, asked.kind, asked.number) == (name.lower(), getattr(QTYPE, kind), made.header.id)
    told = DNSRecord.parse(dns.answer(asked, dns.NO_ERROR, found, 5))
    assert told.header.id == made.header.id and told.header.qr and str(told.q.qname) == f"{name}."
    assert [str(record.rdata) for record in told.rr] == [str(address) for address in found]


@settings(max_examples=30)
@given(NAME, NAME, st.lists(ADDRESS, max_size=5))
def test_addresses_are_found_in_what_dnslib_makes(name: str, other: str, found: list[IPv4Address]) -> None:
    told = DNSRecord.question(name).reply()
    told.add_answer(*RR.fromZone(f"{name}. 60 CNAME {other}."))
    told.add_answer(*(RR(other, QTYPE.A, rdata=A(str(address)), ttl=60) for address in found))
    assert [*dns.addresses(bytes(told.pack()))] == found
    asked = dns.query(bytes(DNSRecord(q=DNSQuestion(name.upper())).pack()))
    assert asked and dns.answers(bytes(told.pack()), asked, told.header.id)
    assert not dns.answers(bytes(told.pack()), asked, told.header.id ^ 1)


@given(
    st.binary(max_size=600)
    | st.builds(
        lambda h, b: bytes([0, 1, 0, 0, 0, 1, 0, h]) + b"\0" * 4 + b, st.integers(0, 9), st.binary(max_size=600)
    )
)
def test_any_bytes_are_read_to_their_end(message: bytes) -> None:
    asked = dns.query(message)
    assert len([*dns.addresses(message)]) <= 256
    if asked:
        assert message[12:].startswith(asked.question) and len(asked.question) <= 260
        dns.query(asked.question)
        assert dns.answers(dns.answer(asked), asked, asked.number)
