"""The supervisor: it may be killed at any moment; slots wait and are strangers; what ends badly is begun again."""

from __future__ import annotations

import os
import signal
import time
from itertools import pairwise
from pathlib import Path

import pytest

from oslet.errors import RunError
from oslet.model.instance import Arguments
from oslet.model.oslet import Tcp
from oslet.run import Wish, client, execute, find, inspect, instances, logs, park, records, remove, stop, wait, wire
from oslet.run.monitor import Stdio
from oslet.run.supervisor.capture import LIMIT

from .conftest import Toy

COUNTS = "i=0; while [ $i -lt 400 ]; do echo $i; i=$((i+1)); [ $((i%10)) = 0 ] && sleep 0.01; done; exit 5"


def supervisor(toy: Toy) -> wire.Waiting:
    reply = client.ask(toy.places.state, wire.Ask())
    assert isinstance(reply, wire.Waiting)
    return reply


def kill_supervisor(toy: Toy) -> None:
    pid = supervisor(toy).pid
    os.kill(pid, signal.SIGKILL)


def said(toy: Toy, name: str) -> list[str]:
    return [line.text.decode().rstrip() for line in logs(toy.places.state, name)]


def test_no_line_and_no_code_is_lost_when_it_is_killed_again_and_again(toy: Toy) -> None:
    toy.start("/bin/sh", "-c", COUNTS, wish=Wish(name="a"))
    for _ in range(4):
        kill_supervisor(toy)
        time.sleep(0.1)
    assert wait(toy.places.state, "a", timeout=60) == 5
    assert said(toy, "a") == [str(i) for i in range(400)]


def test_an_end_without_a_supervisor_is_known_to_the_next(toy: Toy) -> None:
    toy.start("/bin/sh", "-c", "sleep 0.3; exit 9", wish=Wish(name="a"))
    pid = supervisor(toy).pid
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.6)
    assert inspect(toy.places.state, "a").state == "running"  # its code isn't written down yet
    os.kill(pid, signal.SIGKILL)
    assert wait(toy.places.state, "a", timeout=20) == 9


def test_an_attached_caller_is_not_lost_with_its_supervisor(toy: Toy) -> None:
    import threading

    def kill() -> None:
        while not instances(toy.places.state):
            time.sleep(0.01)
        time.sleep(0.2)
        kill_supervisor(toy)

    thread = threading.Thread(target=kill)
    thread.start()
    code, out, _ = toy.run("/bin/sh", "-c", COUNTS)
    thread.join()
    assert (code, out.split()) == (5, [str(i) for i in range(400)])


def test_slots_wait_and_are_taken(toy: Toy) -> None:
    command = ("/bin/sh", "-c", "cat /etc/hostname; sleep 60")
    sealed = toy.sealed(*command)
    park(sealed, Arguments({}), Wish(), lambda: toy.tools, toy.places, 3)
    assert supervisor(toy).slots == {sealed.digest: 3}
    keeper = int(Path(f"/proc/{supervisor(toy).pid}/stat").read_text().rpartition(")")[2].split()[1])
    waiting = {pid for pid in records.children(keeper) if comm(Path(f"/proc/{pid}")) == "oslet-slot"}
    started = toy.start(*command, wish=Wish(name="first"))
    assert started.pid in waiting
    second = toy.start(*command, wish=Wish(name="second"))
    assert second.pid in waiting and second.id != started.id
    until(lambda: said(toy, "first") == ["first"] and said(toy, "second") == ["second"])
    kill_supervisor(toy)
    until(lambda: not any(comm(Path(f"/proc/{pid}")) == "oslet-slot" for pid in waiting))
    assert {i.state for i in instances(toy.places.state)} == {"running"}
    for name in ("first", "second"):
        assert stop(toy.places.state, name, grace=0) == 137


def test_only_its_own_descriptors_are_inside(toy: Toy) -> None:
    park(toy.sealed("/bin/sh"), Arguments({}), Wish(), lambda: toy.tools, toy.places, 2)
    for _ in range(2):
        assert toy.run("/bin/ls", "/proc/self/fd")[1].split() == ["0", "1", "2", "3"]  # 3 is ls's own
    toy.start("/bin/sh", "-c", "ls /proc/1/fd; sleep 60", wish=Wish(name="a"))
    until(lambda: said(toy, "a") == ["0", "1", "2"])
    out = os.memfd_create("out")
    try:
        null = os.open("/dev/null", os.O_RDWR)
        assert execute(toy.places.state, "a", ("/bin/ls", "/proc/self/fd"), stdio=Stdio(null, out, null)) == 0
        assert os.pread(out, 1000, 0).split() == [b"0", b"1", b"2", b"3"]
        os.close(null)
    finally:
        os.close(out)


def test_what_ends_badly_is_begun_again_and_stays_ended_once_stopped(toy: Toy) -> None:
    wish = Wish(name="a", restart="on-failure")
    toy.start("/bin/sh", "-c", "echo run; exit 3", wish=wish)
    until(lambda: len(said(toy, "a")) > 2)
    _, record = find(toy.places.state, "a")
    assert record.restarts >= 2
    kill_supervisor(toy)
    before = len(said(toy, "a"))
    until(lambda: len(said(toy, "a")) > before)
    assert stop(toy.places.state, "a", grace=0.1) in (3, 137)
    assert inspect(toy.places.state, "a").state == "exited"
    count = len(said(toy, "a"))
    time.sleep(0.3)
    assert len(said(toy, "a")) == count
    toy.start("/bin/sh", "-c", "echo well", wish=wish)
    assert wait(toy.places.state, "a", timeout=20) == 0


def test_logs_have_times_and_bounds(toy: Toy) -> None:
    began = time.time()
    line = "x" * 1000
    many = 5 * LIMIT // 1000
    toy.start("/bin/sh", "-c", f"yes {line} | head -n {many}; echo end", wish=Wish(name="a"))
    wait(toy.places.state, "a", timeout=60)
    found = list(logs(toy.places.state, "a"))
    assert found[-1].text == b"end\n" and began <= found[-1].time <= time.time()
    assert all(one.time <= other.time for one, other in pairwise(found))
    folder, _ = find(toy.places.state, "a")
    kept = sum(p.stat().st_size for p in folder.glob("stdout.log*"))
    assert kept < 4.5 * LIMIT + (1 << 20)


def test_a_supervisor_with_something_to_do_isnt_ended(toy: Toy) -> None:
    toy.start("/bin/sleep", "60", wish=Wish(name="a"))
    with pytest.raises(RunError, match="instances run"):
        client.ask(toy.places.state, wire.Quit())
    remove(toy.places.state, "a", force=True)
    client.end(toy.places.state)
    assert not (toy.places.state / "socket").exists()


def comm(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


def until(true: object, patience: float = 20) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + patience
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.01)


def test_health_is_told_without_being_asked(toy: Toy) -> None:
    serve = "mkdir /tmp/w; touch /tmp/w/index.html; httpd -p 80 -h /tmp/w; sleep 60"
    toy.start("/bin/sh", "-c", f"sleep 0.3; {serve}", wish=Wish(name="a", network="shop"), ports=("80",), health=Tcp())
    assert inspect(toy.places.state, "a").health == "starting"
    until(lambda: inspect(toy.places.state, "a").health == "healthy")
    assert '"event":"healthy"' in (toy.places.state / "events.jsonl").read_text()


def test_an_instance_ends_with_its_client(toy: Toy, tmp_path: Path) -> None:
    """Also where the supervisor was killed before it could see the client go."""
    import subprocess
    import sys

    program = (
        "import sys, pickle\nfrom oslet.run import run\nfrom oslet.model.instance import Arguments\n"
        "sealed, wish, tools, places = pickle.loads(sys.stdin.buffer.read())\n"
        "run(sealed, Arguments({}), wish, lambda: tools, places)\n"
    )
    import pickle

    for both in (False, True):
        given = pickle.dumps((toy.sealed("/bin/sleep", "60", stop_signal="KILL"), Wish(), toy.tools, toy.places))
        client_process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
        assert client_process.stdin
        client_process.stdin.write(given)
        client_process.stdin.close()
        until(lambda: any(i.state == "running" for i in instances(toy.places.state)))
        if both:
            pid = supervisor(toy).pid
            client_process.kill()
            os.kill(pid, signal.SIGKILL)
        client_process.kill()
        client_process.wait()
        until(lambda: not instances(toy.places.state), patience=40)
