"""Slots from inside and from outside: what an instance has of us, and what is left when we are killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from oslet.model.instance import Arguments
from oslet.run import Wish, client, execute, inspect, logs, park, records, stop, wait, wire
from oslet.run.monitor import Stdio

from .conftest import Toy

LOOK = ("/bin/sh", "-c", "ls /proc/$$/fd; true")
"""The shell's own descriptors, seen by another process."""
COUNTS = "i=0; while [ $i -lt 30 ]; do echo $i; i=$((i+1)); sleep 0.1; done; exit 9"
OWN = ["0", "1", "2"]


def supervisor(toy: Toy) -> wire.Waiting:
    reply = client.ask(toy.places.state, wire.Ask())
    assert isinstance(reply, wire.Waiting)
    return reply


def keeper(toy: Toy) -> int:
    return int(Path(f"/proc/{supervisor(toy).pid}/stat").read_text().rpartition(")")[2].split()[1])


def words(toy: Toy, name: str) -> list[str]:
    wait(toy.places.state, name, timeout=60)
    return [word for line in logs(toy.places.state, name) for word in line.text.decode().split()]


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline, "it doesn't come to that"
        time.sleep(0.01)


def stubs(toy: Toy) -> list[int]:
    """The slots that wait, as processes."""
    found = []
    for pid in records.children(keeper(toy)):
        try:
            if Path(f"/proc/{pid}/comm").read_text() == "oslet-slot\n":
                found.append(pid)
        except OSError:
            continue
    return found


def test_an_instance_has_three_descriptors_however_it_is_started(toy: Toy) -> None:
    state = toy.places.state
    toy.start("/bin/sleep", "100", wish=Wish(name="sibling"))
    toy.start(*LOOK, wish=Wish(name="cold"))
    assert words(toy, "cold") == OWN
    park(toy.sealed(*LOOK), Arguments({}), Wish(), lambda: toy.tools, toy.places, 2)
    toy.start(*LOOK, wish=Wish(name="parked"))
    assert words(toy, "parked") == OWN
    assert toy.run(*LOOK)[1].split() == OWN
    file = os.memfd_create("output")
    assert execute(state, "sibling", LOOK, stdio=Stdio(file, file, file)) == 0
    assert os.pread(file, 100, 0).decode().split() == OWN
    os.close(file)


def test_an_instance_with_a_terminal_has_three_descriptors(toy: Toy) -> None:
    ours, theirs = os.openpty()
    try:
        code = run_on(toy, theirs)
        os.set_blocking(ours, False)
        said = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert (code, said.split()) == (0, [*OWN, "/dev/pts/0"])


def run_on(toy: Toy, terminal: int) -> int:
    from oslet.run import run

    look = toy.sealed("/bin/sh", "-c", "ls -C /proc/$$/fd; readlink /proc/$$/fd/0")
    wish = Wish(tty=True)
    return run(look, Arguments({}), wish, lambda: toy.tools, toy.places, Stdio(terminal, terminal, terminal))


def test_signals_limits_and_modes_are_as_at_boot(toy: Toy) -> None:
    look = "cat /proc/self/status /proc/self/limits; umask"
    toy.start("/bin/sh", "-c", look, wish=Wish(name="a"))
    wait(toy.places.state, "a", timeout=60)
    lines = [line.text.decode().split() for line in logs(toy.places.state, "a")]
    said = {line[0]: line[1] for line in lines if line and line[0].startswith("Sig")}
    assert (said["SigBlk:"], said["SigIgn:"]) == ("0" * 16, "0" * 16)
    assert ["Max", "open", "files", "1024"] in [line[:4] for line in lines]
    assert lines[-1] == ["0022"]


def test_a_waiting_stub_is_sealed_and_goes_with_its_supervisor(toy: Toy) -> None:
    park(toy.sealed("/bin/true"), Arguments({}), Wish(), lambda: toy.tools, toy.places, 3)
    until(lambda: len(stubs(toy)) == 3)
    waiting = stubs(toy)
    for pid in waiting:
        if os.getuid():  # the slot's user is another one
            continue
        assert os.readlink(f"/proc/{pid}/exe") == "/memfd:stub (deleted)"
        with open(f"/proc/{pid}/exe", "rb") as program:  # noqa: PTH123
            assert fcntl.fcntl(program, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
        sockets = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert len(sockets) == 4
        assert sum(link.startswith("socket:") for link in sockets) == 1
    os.kill(supervisor(toy).pid, signal.SIGKILL)
    until(lambda: not any(records.began(pid, ended=True) is not None for pid in waiting))
    assert not stubs(toy)
    assert not list((toy.places.state / "instances").iterdir())


def test_when_its_keeper_is_killed_another_one_keeps_all(toy: Toy) -> None:
    state = toy.places.state
    toy.start(
        "/bin/sh",
        "-c",
        "i=0; while [ $i -lt 30 ]; do echo $i; i=$((i+1)); sleep 0.1; done; exit 9",
        wish=Wish(name="a"),
    )
    toy.start("/bin/sleep", "100", wish=Wish(name="b"))
    first = keeper(toy)
    os.kill(first, signal.SIGKILL)
    until(lambda: keeper(toy) not in (first, 1))
    assert [inspect(state, name).state for name in "ab"] == ["running", "running"]
    os.kill(supervisor(toy).pid, signal.SIGKILL)
    assert wait(state, "a", timeout=60) in (9, 137)  # where the kernel tells of other's children, it is known
    assert words(toy, "a") == [str(i) for i in range(30)]
    toy.start("/bin/sh", "-c", "exit 4", wish=Wish(name="c"))
    assert wait(state, "c", timeout=60) == 4
    client.ask(state, wire.Stop("b", 0))
    assert inspect(state, "b").exit_code == 137


def test_when_both_are_killed_what_runs_is_still_known(toy: Toy) -> None:
    state = toy.places.state
    pid = toy.start("/bin/sleep", "100", wish=Wish(name="a")).pid
    first, second = keeper(toy), supervisor(toy).pid
    os.kill(second, signal.SIGSTOP)
    os.kill(first, signal.SIGKILL)
    os.kill(second, signal.SIGKILL)
    until(lambda: records.began(first) is None and records.began(second) is None)
    assert inspect(state, "a").state == "running"
    toy.start("/bin/sleep", "100", wish=Wish(name="b"))
    assert {inspect(state, name).state for name in "ab"} == {"running"}
    stop(state, "a", 0)
    assert records.began(pid) is None
    assert inspect(state, "a").exit_code == 137


def test_instances_end_with_the_folder_that_knows_of_them(toy: Toy) -> None:
    pid = toy.start("/bin/sleep", "100", wish=Wish(name="a")).pid
    first = keeper(toy)
    while toy.places.state.exists():  # something may be written into it meanwhile
        shutil.rmtree(toy.places.state, ignore_errors=True)
    until(lambda: records.began(pid) is None and records.began(first) is None)
