"""A stack's thinking: who starts when, what references become, where secrets may go, what is to be done."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.codec.places import Key, spell
from oslet.errors import DeclarationError
from oslet.group import Ready, Seen, fill, moves, shown_url, waves
from oslet.model.image import Built, Image
from oslet.model.instance import Secret
from oslet.model.oslet import Start
from oslet.model.param import IntKind, ListKind, Param, PortKind, SecretKind, StrKind, UrlKind
from oslet.model.stack import Doors, Given, Member, Membership, Move, Need, Stack

DB = Start(ports=("{port}", "9000"), url="db://me:{password}@{host}:{port}/x")
CACHE = Start(ports=("6379",), url="cache://{host}:6379")
PASSWORD, PORT = Param("password", SecretKind()), Param("port", PortKind(), 5432)


def place(key: Key) -> tuple[int, str]:
    return 0, spell(key)


def built(start: Start, *params: Param) -> Built:
    return Built("d" * 64, Image("x", "amd64", "", "", "", start, params, (), 0, 0, 0, 0))


def member(name: str, *needs: str, doors: Doors = Doors(), env: dict[str, str] = {}, **arguments: Any) -> Member:  # noqa: B006,B008
    given = Given(tuple(arguments.items()), env=tuple(env.items()))
    return Member(name, "x", given=given, doors=doors, needs=tuple(map(Need, needs)))


def filled(images: dict[str, Built], *members: Member, network: str = "") -> dict[str, Ready]:
    stack = Stack("shop", members, network)
    return {each.member.name: each for each in fill(stack, images, {("db", "password"): "s/ecret"}, place)}


def refused(images: dict[str, Built], *members: Member, network: str = "") -> list[str]:
    with pytest.raises(DeclarationError) as caught:
        filled(images, *members, network=network)
    assert "s/ecret" not in str(caught.value) and "s%2Fecret" not in str(caught.value)
    return [f"{fault.where}: {fault.what}" for fault in caught.value.faults]


def test_references_become_what_the_other_is_started_with() -> None:
    web = built(Start(ports=("80",)), Param("db", SecretKind()), Param("at", ListKind()), Param("cache", UrlKind()))
    ready = filled(
        {"db": built(DB, PASSWORD, PORT), "cache": built(CACHE), "web": web},
        member("web", "cache", "db", db="{db.url}", at=["{db.host}:{db.port}", "x"], cache="{cache.url}",
               env={"SECOND": "{db.ports.2}", "PLAIN": "{{db.url}}"}),
        member("db", password="@file", port=6000),
        member("cache"),
    )  # fmt: skip
    assert list(ready) == ["db", "cache", "web"] and [each.rank for each in ready.values()] == [0, 0, 1]
    assert ready["web"].arguments.values == {
        "db": Secret("db://me:s%2Fecret@db:6000/x"),
        "at": ["db:6000", "x"],
        "cache": "cache://cache:6379",
    }
    assert ready["web"].env == (("SECOND", "9000"), ("PLAIN", "{db.url}"))
    assert ready["web"].network == "shop"


def test_on_the_machines_network_the_others_are_on_loopback() -> None:
    web = built(Start(), Param("cache", UrlKind()))
    ready = filled(
        {"cache": built(CACHE), "web": web},
        member("cache"),
        member("web", "cache", cache="{cache.url}"),
        network="host",
    )
    assert ready["web"].arguments.values == {"cache": "cache://127.0.0.1:6379"}


def test_a_secret_goes_only_where_it_does_not_show() -> None:
    images = {"db": built(DB, PASSWORD, PORT), "web": built(Start(), Param("db", UrlKind()))}
    db = member("db", password="@file")
    assert refused(images, db, member("web", "db", db="{db.url}", env={"DB": "{db.url}"})) == [
        "members.web.arguments.db: {db.url} holds a secret, which would show here",
        "members.web.env.DB: {db.url} holds a secret, which would show here",
    ]
    key = {"web": built(Start(), Param("key", SecretKind()))}
    assert refused(key, member("web", key="hunter2")) == [
        "members.web.arguments.key: a secret doesn't belong in a file that others read"
    ]


def test_what_can_not_be_had_is_told_with_all_the_rest() -> None:
    images = {"db": built(Start()), "web": built(Start(), Param("n", IntKind())), "far": built(Start())}
    there = Member(
        "far", "x", given=Given(env=(("A", "{db.host}"),)), doors=Doors(network="other"), needs=(Need("db"),)
    )
    found = refused(
        images, member("db"), member("web", "db", n="x", m=1, env={"P": "{db.port}", "U": "{db.url}"}), there
    )
    assert found == [
        "members.web.env.P: db has no port, so that {db.port} is none",
        "members.web.env.U: db doesn't say what its url is",
        "members.far.env.A: db is on the network 'shop', far on 'other': it can't be reached",
    ]
    assert refused(images, member("web", n="x", m=1)) == [
        'members.web.arguments.n: "x" isn\'t a whole number',
        "members.web.arguments.m: no such param",
    ]


def test_nobody_is_reached_on_a_network_of_ones_own() -> None:
    images = {"db": built(CACHE), "web": built(Start())}
    (found,) = refused(images, member("db"), member("web", "db", env={"A": "{db.host}"}), network="private")
    assert "it can't be reached" in found


def test_a_shown_url_has_this_machines_port_and_no_secret() -> None:
    ready = filled({"db": built(DB, PASSWORD, PORT)}, member("db", password="@file"))["db"]
    assert shown_url(ready, {5432: 15432}) == "db://me:xxxxx@127.0.0.1:15432/x"


@given(st.lists(st.sets(st.integers(0, 19)), min_size=1, max_size=20))
def test_a_wave_needs_only_what_came_before(graph: list[set[int]]) -> None:
    """Any graph without circles: the n-th needs only lesser numbers; the members stand in reverse."""
    members = [member(f"m{n}", *(f"m{other}" for other in needs if other < n)) for n, needs in enumerate(graph)]
    found = waves(Stack("x", tuple(reversed(members))))
    assert sorted(name for wave in found for name in wave) == sorted(m.name for m in members)
    before: set[str] = set()
    for wave in found:
        for each in members:
            if each.name in wave:
                assert {need.member for need in each.needs} <= before
        before |= set(wave)


def test_moves_say_why() -> None:
    def seen(name: str, mark: str, *, running: bool = True, code: int | None = None) -> Seen:
        return Seen(Membership("shop", name, 0, (("image", mark), ("arguments", "a"))), name, running, code)

    names = ("new", "same", "other", "ended", "job", "failed")
    images = {name: built(Start()) for name in (*names, "last")}
    last = Member("last", "x", needs=(Need("job", "done"), Need("failed", "done")))
    stack = Stack("shop", (*map(member, names), last))
    wanted = fill(stack, images, {}, place)
    marks = {each.member.name: (("image", "1"), ("arguments", "a")) for each in wanted}
    there = [
        seen("gone", "1"), seen("same", "1"), seen("other", "2"), seen("ended", "1", running=False, code=3),
        seen("job", "1", running=False, code=0), seen("failed", "1", running=False, code=1),
        seen("old", "1", running=False),
    ]  # fmt: skip
    assert moves(stack, wanted, marks, there) == (
        Move("gone", "stop", "no longer in the stack"),
        Move("new", "start", "not there yet"),
        Move("same", "keep", "unchanged"),
        Move("other", "replace", "changed: image"),
        Move("ended", "start", "ended (3)"),
        Move("job", "keep", "unchanged, and done"),
        Move("failed", "start", "ended (1)"),
        Move("last", "start", "not there yet"),
    )


def test_an_image_that_needs_another_network_keeps_it() -> None:
    images = {"a": built(Start(network="none")), "b": built(Start()), "c": built(Start(network="host"))}
    ready = filled(images, member("a"), member("b"), member("c", doors=Doors(network="x")), network="back")
    assert {name: each.network for name, each in ready.items()} == {"a": "none", "b": "back", "c": "x"}


def test_text_params_stay_as_they_are() -> None:
    ready = filled({"a": built(Start(), Param("t", StrKind()), Param("n", IntKind()))}, member("a", t="@home", n=3))
    assert ready["a"].arguments.values == {"t": "@home", "n": 3}
