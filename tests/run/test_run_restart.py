"""Restarts that somebody asks for: the same instance in another slot, with other arguments, whatever is killed."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from oslet.errors import DeclarationError, RunError
from oslet.model.oslet import File, SecretFile
from oslet.model.param import IntKind, Param, SecretKind, StrKind
from oslet.model.stack import Membership
from oslet.run import Wish, client, find, inspect, instances, records, restart, stop, wait, wire
from oslet.run.records import Record

from .conftest import Toy
from .test_run_supervisor import kill_supervisor, said, supervisor, until

SAYS = ("/bin/sh", "-c", 'echo "{who} $GREETING $(cat /run/key)"; exec sleep 60')
PARAMS = (
    Param("who", StrKind(max_length=9), "you"),
    Param("n", IntKind(max=9), 1),
    Param("key", SecretKind()),
)
CONTRACT: dict[str, Any] = {
    "params": PARAMS,
    "rendered": (File("/run/key", SecretFile("key")),),
    "env": (("GREETING", "hello"),),
}


def begun(toy: Toy, name: str = "a", **wish: Any) -> Record:
    toy.start(*SAYS, wish=Wish(name=name, **wish), arguments={"who": "me", "n": 1, "key": "k1"}, **CONTRACT)
    return record(toy, name)


def record(toy: Toy, name: str = "a") -> Record:
    return find(toy.places.state, name)[1]


def test_it_is_the_same_instance_with_other_arguments(toy: Toy) -> None:
    before = begun(toy)
    until(lambda: said(toy, "a") == ["me hello k1"])
    now = restart(toy.places.state, "a", {"who": "her"}, env={"GREETING": "hi"}, grace=0.1)
    until(lambda: said(toy, "a") == ["me hello k1", "her hi k1"])
    after = record(toy)
    assert (now.id, after.id, after.created, after.restarts) == (before.id, before.id, before.created, 0)
    assert after.pid != before.pid and after.slot != before.slot and after.again == ""
    assert after.arguments == {"who": "her", "n": 1}  # and no secret
    assert b"k1" not in (records.folders(toy.places.state) / after.id / "record.json").read_bytes()
    restart(toy.places.state, "a", {"key": "k2"}, env={"GREETING": None}, grace=0)
    until(lambda: said(toy, "a")[2:] == ["her hello k2"])
    assert stop(toy.places.state, "a", 0) == 137


def test_a_member_of_a_stack_is_what_the_stack_asks_for_no_more(toy: Toy) -> None:
    """Whatever it was restarted with, so that the next ``up`` replaces it."""
    marks = (("image", "i"), ("arguments", "a"), ("settings", "s"))
    begun(toy, membership=Membership("shop", "a", marks=marks))
    restart(toy.places.state, "a", grace=0)
    found = record(toy).membership
    assert found and found.marks == marks
    restart(toy.places.state, "a", {"who": "her"}, grace=0)
    found = record(toy).membership
    assert found and found.marks == (marks[0], marks[2])


def test_what_it_cannot_be_ends_nothing(toy: Toy) -> None:
    before = begun(toy)
    for arguments, error in (({"n": 99}, DeclarationError), ({"whom": "x"}, DeclarationError)):
        with pytest.raises(error):
            restart(toy.places.state, "a", arguments)
    for env in ({"A=B": "x"}, {"A": "\0"}, {"UNSET": None}):
        with pytest.raises(RunError):
            restart(toy.places.state, "a", env=env)
    assert record(toy) == before and inspect(toy.places.state, "a").state == "running"
    stop(toy.places.state, "a", 0)
    with pytest.raises(RunError, match="has ended"):
        restart(toy.places.state, "a")


def test_a_change_for_later_waits_for_the_next_start(toy: Toy) -> None:
    before = begun(toy, restart="always")
    restart(toy.places.state, "a", {"who": "her"}, env={"GREETING": "hi"}, later=True)
    assert record(toy) == before
    kill_supervisor(toy)
    until(lambda: said(toy, "a") == ["me hello k1"])
    os.kill(before.pid, 9)
    until(lambda: said(toy, "a") == ["me hello k1", "her hi k1"])
    assert record(toy).restarts == 1


def test_ports_stay_unless_the_argument_is_one(toy: Toy, free_port: int) -> None:
    toy.start(
        "/bin/sh", "-c", "exec sleep 60", wish=Wish(name="a", publish=("0:80",)), arguments={"port": 80},
        params=(Param("port", IntKind(), 80),), ports=("{port}",), network="private",
    )  # fmt: skip
    before = record(toy).published
    restart(toy.places.state, "a", grace=0)
    assert record(toy).published == before
    with pytest.raises(DeclarationError):
        restart(toy.places.state, "a", {"port": "x"})
    restart(toy.places.state, "a", {"port": free_port}, grace=0)
    assert (free_port, free_port) in {(p.container, p.host) for p in record(toy).published}


def test_one_that_cannot_begin_again_has_ended_and_says_why(toy: Toy) -> None:
    toy.start("/bin/sleep", "60", wish=Wish(name="a", volumes={"/srv": "gone"}))
    volume = toy.places.data / "gone"
    volume.rename(volume.with_name("elsewhere"))
    volume.write_text("no folder")
    with pytest.raises(RunError):
        restart(toy.places.state, "a", grace=0)
    assert inspect(toy.places.state, "a").state == "exited"
    volume.unlink()


def test_two_at_once_are_one_after_the_other(toy: Toy) -> None:
    begun(toy)
    failed: list[BaseException] = []

    def again(word: str) -> None:
        try:
            restart(toy.places.state, "a", {"who": word}, grace=0)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=again, args=(word,)) for word in "bcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and len(instances(toy.places.state)) == 1
    assert record(toy).arguments["who"] in "bcd" and inspect(toy.places.state, "a").state == "running"


def test_a_stop_is_stronger(toy: Toy) -> None:
    begun(toy)
    failed: list[BaseException] = []

    def again() -> None:
        with pytest.raises(RunError) as raised:
            restart(toy.places.state, "a", grace=30)
        failed.append(raised.value)

    thread = threading.Thread(target=again)
    thread.start()
    until(lambda: record(toy).again != "")
    assert stop(toy.places.state, "a", 0) == 137
    thread.join()
    assert failed and inspect(toy.places.state, "a").state == "exited"


@pytest.mark.parametrize("delay", [0.001, 0.004, 0.01, 0.03])
def test_a_supervisor_killed_meanwhile_leaves_it_begun_again(toy: Toy, delay: float) -> None:
    """Whenever it is killed, the client's request is done once it has its answer: the old process is gone, the new one
    has the new arguments, and there is one instance."""
    before, pid = begun(toy), supervisor(toy).pid
    thread = threading.Timer(delay, os.kill, (pid, signal.SIGKILL))
    thread.start()
    restart(toy.places.state, "a", {"who": "her"}, grace=0)
    thread.join()
    until(lambda: said(toy, "a")[-1:] == ["her hello k1"])
    after = record(toy)
    assert after.id == before.id and after.again == "" and records.alive(after)
    assert not records.there(before)
    assert len(instances(toy.places.state)) == 1
    os.kill(after.pid, 9)
    assert wait(toy.places.state, "a", timeout=20) == 137


def test_a_restart_is_done_though_its_client_and_the_supervisor_are_gone(toy: Toy) -> None:
    """The request stands in the record and with the keeper, and the process lives: the next supervisor goes on."""
    slow = 'trap "sleep 0.3; exit" TERM; echo "{who} $(cat /run/key)"; while :; do sleep 0.02; done'
    toy.start("/bin/sh", "-c", slow, wish=Wish(name="a"), arguments={"who": "me", "n": 1, "key": "k1"}, **CONTRACT)
    until(lambda: said(toy, "a") == ["me k1"])
    connection = client.connect(toy.places.state)
    wire.send(connection, wire.Restart(record(toy).id, "token", 30.0, {"who": "her"}))
    until(lambda: record(toy).again == "token")
    kill_supervisor(toy)
    connection.close()
    until(lambda: said(toy, "a") == ["me k1", "her k1"])
    until(lambda: record(toy).again == "" and record(toy).token == "token")
