"""Many instances: how many a second, how many at once, and what they cost then. And how a bar's row is written."""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.measure import Skip, say
from oslet.run import Wish, client, wire
from oslet.workspace.running import Running

if TYPE_CHECKING:
    from bench.instances import World

IDLE, IDLE_PRIVATE = 1000, 200


class Row(NamedTuple):
    what: str
    ours: str
    peers: str = ""
    ratio: str = ""
    bar: str = ""
    met: bool | None = None


def show(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.2f} ms"


def percentile(values: Sequence[float] | None, percent: int) -> float | None:
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def held(
    what: str, ours: float | None, peer: float | None, peers: str, most: float | None, times: float | None = None
) -> Row:
    """A row: at most so many seconds, and so many ``times`` quicker than the peer."""
    bars = [f"≤ {show(most)}"] if most is not None else []
    bars += [f"≥ {times:g} ×"] if times is not None else []
    if ours is None:
        return Row(what, "–", peers, "", ", ".join(bars))
    ratio = f"{peer / ours:.0f} ×" if peer else ""
    met = None
    if bars:
        met = (most is None or ours <= most) and (times is None or peer is None or peer / ours >= times)
    return Row(what, show(ours), peers, ratio, ", ".join(bars), met)


def table(rows: Iterable[Row]) -> str:
    word = {True: "met", False: "**missed**", None: ""}
    lines = [("what", "oslet", "beside it", "ratio", "bar", ""), ("---",) * 6]
    lines += [(r.what, r.ours, r.peers, r.ratio, r.bar, word[r.met]) for r in rows]
    return "\n".join("| " + " | ".join(each.replace("|", "/") for each in line) + " |" for line in lines)


# A second's worth


def throughput(world: World) -> list[Row]:
    """Starts a second of a program that ends at once, by four clients: cold, from a pool; how quickly that refills."""
    cold = _rate(world, 200, lambda: Wish(limits=world.odd(), remove=True))
    count = 300
    began = time.perf_counter()
    world.park("stamp", Wish(), count)
    fill = count / (time.perf_counter() - began)
    pooled = _rate(world, count, lambda: Wish(remove=True))
    began, waited = time.perf_counter(), 0
    while (waited := sum(_asked(world).slots.values())) < count and time.perf_counter() - began < 60:
        time.sleep(0.05)
    refill = waited / (time.perf_counter() - began)
    world.park("stamp", Wish(), 0)
    return [
        Row("cold starts a second, four clients", f"{cold:.0f}", "", "", "≥ 50", cold >= 50),
        Row("starts a second from a filled pool of 300", f"{pooled:.0f}", "", "", "≥ 300", pooled >= 300),
        Row("slots filled a second", f"{fill:.0f} asked for, {refill:.0f} again behind starts"),
    ]


def _rate(world: World, count: int, wish: Callable[[], Wish]) -> float:
    left = list(range(count))
    errors: list[BaseException] = []

    def work() -> None:
        while left and not errors:
            try:
                left.pop()
                world.start("stamp", wish())
            except IndexError:
                return
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return count / (time.perf_counter() - began)


def _asked(world: World) -> wire.Waiting:
    reply = client.ask(world.state, wire.Ask(), tools=world.workspace.instance_tools)
    assert isinstance(reply, wire.Waiting)
    return reply


# Many at once


def density(world: World) -> list[Row]:
    """A thousand idle instances: what they add to the machine's memory, and how starting and ending goes meanwhile."""
    where = world.room / "idle"
    where.mkdir(exist_ok=True)
    (where / "idle.c").write_text("#include <unistd.h>\nint main(void) { return pause(); }\n")
    _compile(where)
    (where / "idle.toml").write_text('name = "idle"\ncommand = ["/idle"]\n[files]\n"/idle" = "./idle"\n')
    world.build(where / "idle.toml")
    return [*_many(world, "none", IDLE), *_many(world, "private", IDLE_PRIVATE)]


def _compile(where: Path) -> None:
    import sys

    from bench.measure import command

    words = [sys.executable, "-m", "ziglang", "cc", "-static", "-O2", "-s", "-target", "x86_64-linux-musl"]
    command([*words, "-o", where / "idle", where / "idle.c"])


def _many(world: World, network: str, count: int) -> list[Row]:
    world.start("idle", Wish(network=network)).remove()
    time.sleep(0.5)
    before = _available()
    lives: list[Running] = []
    taken: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        lives.append(world.start("idle", Wish(network=network, limits=world.odd())))
        taken.append(time.perf_counter() - began)
    time.sleep(2)
    cost = before - _available()
    supervisor = _asked(world).pid
    ram = f"supervisor {_show(supervisor)}"
    own = sum(_rollup(running.observed.pid, "Pss") for running in lives[:: max(1, count // 50)])
    own = own * count // len(lives[:: max(1, count // 50)])
    each = (cost - own) / count / 1024
    hundreds = [statistics.median(taken[i : i + 100]) for i in range(0, count, 100)]
    growth, by_hundreds = hundreds[-1] / hundreds[0], " ".join(show(t) for t in hundreds)
    warm = [_one_more(world, network) for _ in range(20)]
    began = time.perf_counter()
    client.end(world.state, force=True)
    gone = time.perf_counter() - began
    for running in lives:
        shutil.rmtree(world.state / "instances" / running.id, ignore_errors=True)
    said = f"{count} idle, {network}"
    return [
        Row(f"{said}: memory each beyond its process", f"{each:.0f} kB", ram, "", "≤ 512 kB", each <= 512),
        Row(
            f"{said}: cold starts by hundreds",
            by_hundreds,
            "",
            f"{growth:.1f} ×",
            "≤ 2 ×",
            growth <= 2,
        ),
        Row(f"{said}: one more, parked", show(statistics.median(warm))),
        Row(f"{said}: all ended", show(gone)),
    ]


def _one_more(world: World, network: str) -> float:
    time.sleep(0.1)
    began = time.perf_counter()
    running = world.start("idle", Wish(network=network))
    seconds = time.perf_counter() - began
    running.remove()
    return seconds


def _available() -> int:
    """Bytes that the machine could still give, without what is cached and can go."""
    with suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("3")
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _rollup(pid: int, what: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) * 1024
    return 0


def _show(pid: int) -> str:
    return f"{_rollup(pid, 'Rss') / (1 << 20):.1f} MB"


def sharing(world: World) -> list[Row]:
    """Ten images that differ in one file, on one Python: what of the interpreters' files each has for itself."""
    lives = []
    command = ("python3", "-c", "import json, time; time.sleep(1000)")
    for number in range(10):
        where = world.room / f"same{number}"
        where.mkdir(exist_ok=True)
        (where / "own").write_text(f"{number}\n")
        name = f"same{number}"
        head = f'name = "{name}"\npackages = ["python3"]\ncommand = ["python3"]\nnetwork = "none"\n'
        (where / f"{name}.toml").write_text(head + '[files]\n"/own" = "./own"\n')
        world.build(where / f"{name}.toml")
        lives.append(world.start(name, Wish(command=command)))
        say(f"image {number + 1} of 10")
    time.sleep(1.5)
    files = [_rollup(running.observed.pid, "Pss_File") for running in lives]
    rss = [_rollup(r.observed.pid, "Rss") - _rollup(r.observed.pid, "Pss_Anon") for r in lives]
    if not all(files):
        raise Skip(f"an interpreter has ended: {lives[files.index(0)].logs()[-200:]}")
    ratio = sum(files) / max(rss)
    return [
        Row(
            "ten images on one Python: file pages of all, in copies of one", f"{ratio:.1f}",
            f"{sum(files) / 1e6:.1f} MB for all, {max(rss) / 1e6:.1f} MB for one alone", "", "1 copy", ratio < 1.5,
        )
    ]  # fmt: skip


# Asking


def http(port: int, path: str) -> bool:
    """Whether GET ``path`` is answered with 200 now."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            return connection.recv(64).split()[1:2] == [b"200"]
    except OSError:
        return False


def selects(running: Running, port: int) -> bool:
    """Whether the server answers a SELECT; by psql within, over its socket, as the service user."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        script = "for b in /usr/lib/postgresql/*/bin; do :; done; "
        script += "exec $b/psql -h /tmp -p $0 -U postgres -tAc 'SELECT 1'"
        null = os.open("/dev/null", os.O_RDWR)
        from oslet.run import execute
        from oslet.run.monitor import Stdio

        try:
            code = execute(
                running._places.state, running.id, ("/bin/sh", "-c", script, str(port)), stdio=Stdio(null, null, null)
            )
            return code == 0
        finally:
            os.close(null)
    return False
