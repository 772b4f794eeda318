"""Chaos: random starts, stops and kills, of the supervisor too; everything said is so, and nothing is left."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import threading
import time
from itertools import permutations
from pathlib import Path
from typing import cast

import pytest
from bench.chaos import apart, within
from bench.measure import ROOT

from oslet.model.instance import Arguments
from oslet.model.tree import Entry
from oslet.run import Limits, Tools, Wish, keeping, park
from oslet.run.records import Record
from oslet.run.supervisor.capture import Captured
from oslet.run.supervisor.hearing import Hearing
from oslet.run.supervisor.lives import Life, Lives
from oslet.run.supervisor.service import Service
from oslet.run.supervisor.serving import Serving

from .conftest import Toy
from .test_run_supervisor import kill_supervisor, supervisor, until


@pytest.mark.slow
def test_chaos(laid: tuple[Path, tuple[Entry, ...]], tools: Tools, tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    words = within(tmp_path / "play", laid[0], tools, 100, seed)
    done = subprocess.run([*apart(), *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"with --seed {seed}:\n{done.stdout}{done.stderr[-2000:]}"


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's cgroups are systemd's to give")
def test_cgroups_of_slots_go_with_their_supervisor(toy: Toy) -> None:
    def groups() -> set[str]:
        waiting = {path.name for path in (toy.places.state / "instances").glob("*")}
        return {path.name for path in Path("/sys/fs/cgroup").glob("*/oslet/*")} & (waiting | known)

    known: set[str] = set()
    park(toy.sealed("/bin/sh"), Arguments({}), Wish(limits=Limits(pids=9)), lambda: toy.tools, toy.places, 2)
    until(lambda: len(groups()) == 2)  # one more may have been made meanwhile, which nobody wants
    known |= groups()
    kill_supervisor(toy)
    supervisor(toy)
    until(lambda: not groups())


def test_made_up_names_take_the_lowest_number(tmp_path: Path) -> None:
    lives = Lives(tmp_path)
    assert [lives.name("a", False, str(n)) for n in range(4)] == ["a", "a-2", "a-3", "a-4"]
    lives.unname("a-3")
    assert [lives.name("a", False, str(n)) for n in range(2)] == ["a-3", "a-5"]
    lives.unname("a")
    assert lives.name("a", False, "") == "a"


@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_of_quick_ones_under_one_name_the_last_is_left_whoever_is_answered_first(
    order: tuple[int, ...], tmp_path: Path
) -> None:
    lives = Lives(tmp_path)
    made = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        made.append(Life(folder, begun("a", number), None))
        lives.left(made[-1].record, folder)
    for number in order:
        lives.discard(made[number])
    lives.shut()
    assert [path.name for path in tmp_path.iterdir()] == ["2"]


def test_what_is_closed_carries_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    unheard: list[int] = []
    captured = Captured(reading, tmp_path / "stdout")
    captured.unhear = unheard.append
    os.close(writing)
    captured.close()
    captured.carry()
    assert unheard == [reading] and not list(tmp_path.iterdir())


def test_a_supervisor_does_not_end_before_it_heard_who_came(tmp_path: Path) -> None:
    hearing, place = Hearing(), str(tmp_path / "door")
    with socket.socket(socket.AF_UNIX) as door, socket.socket(socket.AF_UNIX) as client:
        door.bind(place)
        door.listen()
        serving = Serving(cast(Service, None), hearing, door)
        serving.last = before = time.monotonic() - 3600
        client.connect(place)
        hearing.listen(10)
        assert serving.last > before


def begun(name: str, created: float) -> Record:
    return Record(
        id=f"{name}{created}", name=name, image="", image_name="", created=created, boot="", pid=0, pid_began=0,
        slot="", uid=0, gid=0, env=(), workdir="/", capabilities=(), stop_signal="TERM", ports=(), published=(),
        network="none", cgroups=(),
    )  # fmt: skip


def test_settings_may_be_written_by_many_threads(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def write() -> None:
        try:
            for _ in range(50):
                keeping.write(tmp_path, Tools(Path("/crun"), None))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and [path.name for path in tmp_path.iterdir()] == [keeping.SETTINGS]
