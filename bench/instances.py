"""Instances: issue 4's bars, each beside what else does the same, in one run."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from bench import dense, peers, start
from bench.dense import Row, percentile, show
from bench.measure import ROOT, Skip, command, say
from bench.ours import OSLET
from oslet.bind import bind
from oslet.errors import OsletError
from oslet.model.image import Built
from oslet.run import Limits, Wish, end, park
from oslet.workspace import Workspace
from oslet.workspace.running import Running

STAMP = """\
#include <stdio.h>
#include <time.h>
int main(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return printf("%lld\\n", t.tv_sec * 1000000000LL + t.tv_nsec) < 0;
}
"""
DECLARED = 'name = "stamp"\ncommand = ["/stamp"]\nnetwork = "none"\n[files]\n"/stamp" = "./stamp"\n'
ABOUT = """\
Medians of one run, all contestants in turn; times begin at the call (or at the start of the command) and end at what
the row says. *Parked*: the image's slots wait. *Cold*: nothing waits that could be taken. The program is a static one
that writes the time at which it began; docker runs the same file, without a network."""
PORT = 18080
PASSWORD = "a-password-of-the-bench"


class World:
    """A workspace with the images built, and how each is started."""

    def __init__(self, home: Path, room: Path) -> None:
        self.home, self.room = home, room
        self.workspace = Workspace(home)
        self.state = self.workspace.places.state
        self.built: dict[str, Built] = {}
        self._scratch = 1 << 30

    def build(self, declaration: Path) -> Built:
        command([OSLET, "build", declaration], env={**os.environ, "OSLET_HOME": str(self.home)})
        built = self.built[declaration.stem] = self.workspace.image(declaration.stem)
        return built

    def example(self, name: str) -> Built:
        where = self.room / name
        shutil.copytree(ROOT / "examples" / name, where)
        return self.build(where / f"{name}.toml")

    def start(self, name: str, wish: Wish, **arguments: Any) -> Running:
        built = self.built[name]
        return self.workspace.start(built, bind([p for p in built.image.params if p.at == "start"], arguments), wish)

    def park(self, name: str, wish: Wish, count: int, **arguments: Any) -> None:
        built = self.built[name]
        bound = bind([p for p in built.image.params if p.at == "start"], arguments)
        ws = self.workspace
        park(ws.sealed(built), bound, ws.fitted(built, wish), ws.instance_tools, ws.places, count)

    def odd(self) -> Limits:
        """Limits that no start had before, so that no slot waits for it."""
        self._scratch += 4096
        return Limits(scratch=self._scratch)

    def stamp(self, wish: Wish) -> float:
        """Seconds from the call to the program's first instruction."""
        began = time.monotonic_ns()
        running = self.start("stamp", wish)
        said = self.state / "instances" / running.id / "stdout.log"
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(OSError):
                if (text := said.read_text()).endswith("\n"):
                    return (int(text) - began) / 1e9
            time.sleep(0.0005)
        raise Skip("the instance never said when it began")


def stamp(room: Path) -> Path:
    """The declaration of an image that is one static program."""
    where = room / "stamp"
    where.mkdir()
    (where / "stamp.c").write_text(STAMP)
    words = [sys.executable, "-m", "ziglang", "cc", "-static", "-O2", "-s", "-target", "x86_64-linux-musl"]
    command([*words, "-o", where / "stamp", where / "stamp.c"])
    (where / "stamp.toml").write_text(DECLARED)
    return where / "stamp.toml"


def section(room: Path) -> str:
    """Issue 4's bars: starts parked, warm and cold, throughput, density, shared memory; beside docker, crun, runc."""
    return report(World(room / "warm", room))


def report(world: World) -> str:
    rows: list[Row] = []
    world.build(stamp(world.room))
    with ExitStack() as stack:
        stack.callback(lambda: end(world.state, force=True))
        for part in (latencies, fastapi, postgres, dense.throughput, dense.density, dense.sharing):
            say(part.__name__)
            try:
                rows += part(world)
            except (Skip, OsletError, OSError) as reason:
                rows.append(Row(part.__name__, f"skipped: {reason}"))
            end(world.state, force=True)
    return f"{ABOUT}\n\n{dense.table(rows)}"


# Starts


def latencies(world: World, rounds: int = 100) -> list[Row]:
    """The first instruction of a static program: parked, cold, by the command line, and the peers'."""
    world.example("hello")
    ours: dict[str, Callable[[], float]] = {
        "parked": lambda: world.stamp(Wish()),
        "cold": lambda: world.stamp(Wish(limits=world.odd())),
        "private": lambda: world.stamp(Wish(limits=world.odd(), network="private")),
        "parked private": lambda: world.stamp(Wish(network="private")),
        "cli": lambda: _timed([OSLET, "run", "stamp"], world),
    }
    world.park("stamp", Wish(), 3)
    world.park("stamp", Wish(network="private"), 3)
    with others(world) as theirs:
        found = in_turn({**ours, **theirs}, rounds, {"docker run": 15, "docker run, exit": 15, "runc": 30, "cli": 40})
    world.park("stamp", Wish(), 0)
    world.park("stamp", Wish(network="private"), 0)
    return list(_latency_rows(found))


def _latency_rows(found: Mapping[str, list[float]]) -> Iterator[Row]:
    docker, leave = percentile(found.get("docker run"), 50), percentile(found.get("docker run, exit"), 50)
    crun, runc = percentile(found.get("crun"), 50), percentile(found.get("runc"), 50)
    parked, late = percentile(found.get("parked"), 50), percentile(found.get("parked"), 99)
    beside = f"docker {show(docker)}"
    runtimes = f"crun alone, to exit, {show(crun)}; runc {show(runc)}; {beside}"
    yield dense.held("call → first instruction, parked", parked, docker, beside, 0.001, 100)
    yield dense.held("… p99", late, None, "", 0.005)
    yield dense.held("… private network", percentile(found.get("parked private"), 50), None, "", None)
    yield dense.held("… cold, no network", percentile(found.get("cold"), 50), docker, runtimes, 0.012, 15)
    yield dense.held("… cold, private network", percentile(found.get("private"), 50), None, "", None)
    yield dense.held(
        "oslet run → exit, parked", percentile(found.get("cli"), 50), leave, f"docker {show(leave)}", 0.020
    )


def in_turn(
    contestants: Mapping[str, Callable[[], float]], rounds: int, fewer: Mapping[str, int]
) -> dict[str, list[float]]:
    """Seconds of each, by turns; the slow ones have ``fewer``. A pause between lets pools be filled again."""
    found: dict[str, list[float]] = {}
    for turn in range(rounds):
        for name, run in contestants.items():
            if turn * fewer.get(name, rounds) // rounds == (turn - 1) * fewer.get(name, rounds) // rounds:
                continue
            with suppress(Skip, OSError):
                found.setdefault(name, []).append(run())
            time.sleep(0.06)
    return found


@contextmanager
def others(world: World) -> Iterator[dict[str, Callable[[], float]]]:
    """The runtimes alone on a root with the same program, and docker; what isn't here is left out."""
    runs: dict[str, Callable[[], float]] = {}
    root = world.room / "rootfs"
    command([OSLET, "export", "hello", "--rootfs", root], env={**os.environ, "OSLET_HOME": str(world.home)})
    shutil.copy(world.room / "stamp/stamp", root / "stamp")
    processes: list[subprocess.Popen[str]] = []
    os.environ["PATH"] = f"{world.workspace.instance_tools().crun.parent}:{os.environ['PATH']}"
    with ExitStack() as stack:
        for runtime in ("crun", "runc"):
            with suppress(Skip):
                run, process = start.in_runtime(runtime, world.room)
                runs[runtime] = lambda run=run: run() or 0.0  # type: ignore[misc]
                processes.append(process)
        with suppress(Skip):
            environment = stack.enter_context(peers.dockerd(_folder(world.room / "docker")))
            tar = world.room / "stamp.tar"
            command(["tar", "-C", world.room / "stamp", "-cf", tar, "stamp"])
            command(["docker", "import", tar, "stamp"], env=environment)
            words = ["docker", "run", "--rm", "--network=none", "stamp", "/stamp"]
            runs["docker run"] = lambda: _first(words, environment)
            runs["docker run, exit"] = lambda: _seconds(words, environment)
        try:
            yield runs
        finally:
            for process in processes:
                process.communicate("")


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _first(words: Sequence[str], environment: Mapping[str, str]) -> float:
    began = time.monotonic_ns()
    return (int(command(words, env=environment).stdout) - began) / 1e9


def _seconds(words: Sequence[str | Path], environment: Mapping[str, str]) -> float:
    began = time.perf_counter()
    command(words, env=environment)
    return time.perf_counter() - began


def _timed(words: Sequence[str | Path], world: World) -> float:
    return _seconds(words, {**os.environ, "OSLET_HOME": str(world.home)})


# Servers


def fastapi(world: World) -> list[Row]:
    """The first HTTP 200 of the example web, warm and cold. The machine's network: what is measured is the start."""
    world.example("web")
    cold_one = world.room / "web" / "coldweb.toml"
    text = (world.room / "web" / "web.toml").read_text().replace('name = "web"', 'name = "coldweb"')
    cold_one.write_text(text.partition("[warm]")[0])
    world.build(cold_one)
    wish = Wish(network="host")
    world.park("web", wish, 2, port=PORT)
    warm, cold = [], []
    for _ in range(12):
        time.sleep(1.0)  # until slots wait again
        warm.append(_answer(world, "web", wish))
        cold.append(_answer(world, "coldweb", wish._replace(limits=world.odd())))
    world.park("web", wish, 0, port=PORT)
    return [
        dense.held("warm FastAPI → first HTTP 200", statistics.median(warm), None, "", 0.005),
        dense.held("… cold", statistics.median(cold), None, "", 0.450),
    ]


def _answer(world: World, name: str, wish: Wish) -> float:
    began = time.perf_counter()
    running = world.start(name, wish, port=PORT)
    try:
        while time.perf_counter() - began < 20:
            if dense.http(PORT, "/healthz"):
                return time.perf_counter() - began
            time.sleep(0.0003)
        raise Skip(f"no answer: {running.logs()[-300:]}")
    finally:
        running.stop(0)
        running.remove()


def postgres(world: World) -> list[Row]:
    """A fresh server with its data to the first SELECT: oslet.testing's way if it is there, else the example's."""
    world.example("postgres")
    found: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        running = world.start(
            "postgres", Wish(network="host", name=f"pg-{time.monotonic_ns()}"), port=15432, password=PASSWORD
        )
        try:
            while not dense.selects(running, 15432):
                if time.perf_counter() - began > 60:
                    raise Skip(f"no SELECT: {running.logs()[-300:]}")
                time.sleep(0.002)
            found.append(time.perf_counter() - began)
        finally:
            running.stop(0)
            running.remove()
    return [dense.held("fresh Postgres → first SELECT, initdb each time", statistics.median(found), None, "", 0.150)]


def main(home: Path, room: Path, parts: Sequence[str]) -> None:
    """For a look at some of it."""
    world = World(home, room)
    world.build(stamp(room))
    for name in parts:
        part = getattr(dense, name, None) or globals()[name]
        print(dense.table(part(world)), flush=True)
    end(world.state, force=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
