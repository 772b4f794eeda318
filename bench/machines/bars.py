"""Issue 5's bars: what an appliance weighs, how soon it answers, how little memory it needs, what clones cost."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from bench import dense
from bench.dense import Row
from bench.instances import World
from bench.machines.forms import PATIENCE
from bench.measure import Skip, command, say
from bench.ours import OSLET
from oslet.run import Limits, Wish
from oslet.workspace.running import Running

MB, MIB = 1_000_000, 1 << 20
ROUNDS = 5
Vmms: TypeAlias = Literal["uml", "qemu"]
LARGEST = {"page": 8, "nginx": 6, "redis": 7}
"""MB that a bootable appliance may have, its kernel included."""
SMALLEST = ("--form", "initramfs")
INIT = """\
#include <sys/reboot.h>
#include <unistd.h>
int main(void) {
    write(1, "stamp\\n", 6);
    reboot(RB_AUTOBOOT);
    return 0;
}
"""


def page(world: World) -> Path:
    """A copy of the Python application that is measured, built; its declaration."""
    where = world.room / "page"
    if not where.exists():
        shutil.copytree(Path(__file__).parent / "page", where)
        world.build(where / "page.toml")
    return where / "page.toml"


# Sizes


def sizes(world: World) -> list[Row]:
    """What a monitor is given: kernel, initramfs, root, as the export has them; and the kernel alone."""
    page(world)
    rows = []
    for name, largest in LARGEST.items():
        if name != "page":
            world.example(name)
        folder = world.room / f"machine-{name}"
        environment = {**os.environ, "OSLET_HOME": str(world.home)}
        command([OSLET, "export", name, "--microvm", folder, *SMALLEST], env=environment)
        files = {p.name: p.stat().st_size for p in folder.rglob("*") if p.is_file()}
        booted = {n: size for n, size in files.items() if n in ("bzImage", "initramfs")}
        total = sum(booted.values()) / MB
        said = ", ".join(f"{n} {size / MB:.2f}" for n, size in booted.items())
        rows.append(Row(f"appliance: {name}", f"{total:.1f} MB", said, "", f"≤ {largest} MB", total <= largest))
        kernel = files["bzImage"] / MB
        rows.append(Row(f"its kernel: {name}", f"{kernel:.2f} MB", "", "", "≤ 2.5 MB", 0 < kernel <= 2.5))
    return rows


# Booting, without anything of ours around


def boots(world: World) -> list[Row]:
    """From QEMU's exec to a static init's first word under TCG: our kernel, and the distribution's, by turns."""
    from oslet.formats import cpio
    from oslet.model.oslet import Kernel as Choice
    from oslet.run.machine import qemu
    from oslet.run.machine.guest import Guest
    from oslet.workspace.hardware import core
    from oslet.workspace.kernels import kernel

    page(world)
    (world.room / "init.c").write_text(INIT)
    words = [sys.executable, "-m", "ziglang", "cc", "-static", "-Os", "-s", "-target", "x86_64-linux-musl"]
    command([*words, "-o", world.room / "init", world.room / "init.c"])
    members = [cpio.folder("/dev"), cpio.device("/dev/console", 5, 1)]
    members.append(cpio.file("/init", (world.room / "init").read_bytes(), 0o755))
    (world.room / "init.cpio").write_bytes(cpio.pack(members))
    program, run = monitor(world)
    lines: dict[str, Sequence[str]] = {}
    choices: tuple[Choice, ...] = ("net", "distribution")
    for choice in choices:
        with suppress(Exception):
            made = kernel(world.workspace, world.built["page"], choice)
            image = str(core(made, "microvm").image)
            guest = Guest(image, str(world.room / "init.cpio"), memory=128 * MIB, agent=False)
            guest = guest._replace(bus="pci" if choice == "distribution" else "mmio")
            lines[choice] = [*run, *qemu.command(guest, program, kvm=False)[1:]]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in lines}
    for turn in range(ROUNDS):
        for name, line in lines.items():
            found[name].append(booted(line))
        say(f"round {turn + 1}: " + ", ".join(f"{n} {t[-1][0] * 1000:.0f} ms" for n, t in found.items()))
    return boot_rows({n: (_median([w for w, _ in t]), _median([c for _, c in t])) for n, t in found.items()})


def boot_rows(found: dict[str, tuple[float, float]]) -> list[Row]:
    """A row for each kernel: wall and CPU seconds, and how many times quicker than the distribution's it is."""
    theirs, rows = found.get("distribution"), []
    for name, (wall, cpu) in found.items():
        ratio = f"{theirs[0] / wall:.1f} ×, CPU {theirs[1] / cpu:.1f} ×" if theirs and name != "distribution" else ""
        bar = "" if name == "distribution" else "≤ 250 ms, ≥ 6 ×"
        met = wall <= 0.25 and bool(theirs and theirs[0] / wall >= 6) if bar else None
        what = f"QEMU exec → static init, TCG: {name}"
        rows.append(Row(what, dense.show(wall), f"CPU {dense.show(cpu)}", ratio, bar, met))
    return rows


def monitor(world: World) -> tuple[str, list[str]]:
    """oslet's QEMU: its program, and the words that start it outside of a sandbox."""
    from oslet.model.source import Debian
    from oslet.workspace.vmms import vmm

    made = vmm("qemu", world.workspace.store, world.workspace.progress, Debian())
    linker = made.root / "usr/lib64/ld-linux-x86-64.so.2"
    if not linker.exists():
        linker = made.root / "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    libraries = f"{made.root}/usr/lib/x86_64-linux-gnu"
    program = f"{made.root}{made.program}"
    firmware = [word for name in ("qemu", "seabios") for word in ("-L", f"{made.root}/usr/share/{name}")]
    return program, [str(linker), "--library-path", libraries, program, *firmware]


def booted(line: Sequence[str], word: bytes = b"stamp") -> tuple[float, float]:
    """Seconds from exec until ``word`` is on the console, and the processor's until the end, which follows at once."""
    began = time.perf_counter()
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout
        said = b""
        while word not in said:
            if not (got := os.read(process.stdout.fileno(), 4096)) or time.perf_counter() - began > PATIENCE:
                process.kill()
                raise Skip(f"no word of init: {said[-300:]!r}")
            said += got
        wall = time.perf_counter() - began
        process.stdout.close()
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
    return wall, used.ru_utime + used.ru_stime


# Answers


def answers(world: World) -> list[Row]:
    """A start of the Python application until its first HTTP 200: container, UML, TCG, and a clone under TCG."""
    page(world)
    rows = []
    ways: tuple[tuple[str, Wish, float | None], ...] = (
        ("container", Wish(), None),
        ("UML", Wish(microvm="uml"), 0.3),
        ("TCG", Wish(microvm="qemu"), 1.3),
        ("clone, TCG", Wish(microvm="qemu"), 0.2),
    )
    for name, wish, most in ways:
        try:
            found = [_answered(world, wish, parked=name.startswith("clone")) for _ in range(ROUNDS)]
        except Exception as reason:  # one way that isn't there is no reason to leave the others out
            rows.append(Row(f"Python app → first HTTP 200: {name}", f"skipped: {str(reason)[:200]}"))
            continue
        wall, cpu = _median([w for w, _ in found]), _median([c for _, c in found])
        held = dense.held(f"Python app → first HTTP 200: {name}", wall, None, f"CPU {dense.show(cpu)}", most)
        rows.append(held)
        say(f"{name}: {dense.show(wall)}, CPU {dense.show(cpu)}")
    return rows


def _answered(world: World, wish: Wish, *, parked: bool = False, path: str = "/") -> tuple[float, float]:
    from bench.cases import free_port

    port = free_port()
    wish = wish._replace(publish=(f"127.0.0.1:{port}:8080",))
    if parked:
        world.park("page", wish, 1)
        time.sleep(2)
    began = time.perf_counter()
    running = world.start("page", wish)
    try:
        while not dense.http(port, path):
            if time.perf_counter() - began > 60:
                raise Skip(f"no answer: {running.logs()[-300:]}")
            time.sleep(0.002)
        return time.perf_counter() - began, sum(map(_used, _tree(running.observed.pid)))
    finally:
        running.stop(0)
        running.remove()
        if parked:
            world.park("page", wish, 0)


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for each in found:
        with suppress(OSError):
            found += map(int, Path(f"/proc/{each}/task/{each}/children").read_text().split())
    return found


def _used(pid: int) -> float:
    """Processor's seconds of a process."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


# Memory


def least(world: World) -> list[Row]:
    """The least memory with which the Python application's guest still answers a hundred times; in steps of 4 MiB."""
    page(world)
    rows, forms = [], get_args(Vmms)
    for form in forms:
        serves = [size for size in range(64, 15, -4) if _serves_with(world, form, size << 20)]
        smallest = min(serves, default=0)
        said = f"{smallest} MiB" if smallest else "–"
        rows.append(Row(f"least guest memory: {form}", said, "", "", "≤ 32 MB", 0 < smallest * MIB <= 32 * MIB))
    return rows


def _serves_with(world: World, form: Vmms, memory: int) -> bool:
    from bench.cases import free_port

    port = free_port()
    wish = Wish(microvm=form, publish=(f"127.0.0.1:{port}:8080",), limits=Limits(memory=memory))
    running: Running | None = None
    try:
        running = world.start("page", wish)
        end = time.monotonic() + 20
        while not dense.http(port, "/"):
            if time.monotonic() > end or running.observed.state != "running":
                return False
            time.sleep(0.05)
        return all(dense.http(port, "/") for _ in range(100))
    except Exception:  # a guest that can't even be made has too little
        return False
    finally:
        if running is not None:
            with suppress(Exception):
                running.stop(0)
                running.remove()


def clones(world: World, count: int = 10) -> list[Row]:
    """The proportional memory of ten clones that have each answered: of the monitor, and of all in the slot."""
    from bench.cases import free_port

    page(world)
    wish, lives = Wish(microvm="qemu"), []
    world.park("page", wish, count)
    time.sleep(2)
    try:
        for _ in range(count):
            port = free_port()
            lives.append(world.start("page", wish._replace(publish=(f"127.0.0.1:{port}:8080",))))
            while not dense.http(port, "/"):
                time.sleep(0.01)
        each = [sum(dense._rollup(pid, "Pss") for pid in _tree(life.observed.pid)) / MB for life in lives]
    finally:
        world.park("page", wish, 0)
        for life in lives:
            life.stop(0)
            life.remove()
    mean = statistics.mean(each)
    return [Row(f"{count} clones, PSS each", f"{mean:.1f} MB", f"most {max(each):.1f} MB", "", "≤ 35 MB", mean <= 35)]


# Changing


def change(world: World) -> list[Row]:
    """One line of the application changed, until the folder is there that a monitor boots; the kernel is cached."""
    file = page(world)
    source, environment = file.parent / "app/page.py", {**os.environ, "OSLET_HOME": str(world.home)}
    found = []
    for turn in range(ROUNDS + 1):
        source.write_text(f"{source.read_text()}# {turn}\n")
        began = time.perf_counter()
        command([OSLET, "build", file], env=environment)
        command([OSLET, "export", "page", "--microvm", world.room / f"changed-{turn}", *SMALLEST], env=environment)
        found.append(time.perf_counter() - began)
    return [dense.held("application change → bootable image, kernel cached", _median(found[1:]), None, "", 2.0)]


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


PARTS: dict[str, Callable[[World], list[Row]]] = {
    "sizes": sizes,
    "boots": boots,
    "answers": answers,
    "least": least,
    "clones": clones,
    "change": change,
}
