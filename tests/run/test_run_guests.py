"""Guests that run: real kernels in real monitors, without KVM."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from oslet.build.machine.initramfs import initramfs
from oslet.errors import RunError
from oslet.formats import boot, cpio
from oslet.model.boot import Boot, Identity
from oslet.run import native
from oslet.run.machine import memory, qemu, snapshots, uml
from oslet.run.machine.guest import MIB, Guest, mebibytes

from ..monitors import Monitors

ON = pytest.mark.parametrize("monitor", ["qemu", "uml"])
PATIENCE = 120
"""Seconds for one guest, on a machine with much else to do."""


class Told(NamedTuple):
    """What a shim said, and how it ended."""

    out: str
    err: str
    code: int


class World:
    """A folder with an initramfs that has busybox in it, and the places of shims."""

    def __init__(self, folder: Path, busybox: Path) -> None:
        self.folder = folder
        self.initramfs = folder / "initramfs"
        self.initramfs.write_bytes(
            cpio.pack([
                cpio.folder("/dev"),
                cpio.device("/dev/console", 5, 1),
                cpio.file("/init", native.program("init").read_bytes(), 0o755),
                *(cpio.folder(f"/{name}") for name in ("bin", "etc", "proc", "run", "sys", "tmp")),
                cpio.file("/bin/sh", busybox.read_bytes(), 0o755),
            ])
        )  # fmt: skip

    def guest(self, file: str, size: int = 64) -> Guest:
        return Guest(file, str(self.initramfs), memory=size * MIB, hold=True, words=("oslet.from=initramfs",))

    def place(self, words: tuple[str, ...], start: Boot | None, *, restored: bool = False) -> Path:
        """What a shim is to find: the monitor's words, and the guest's boot records."""
        place = self.folder / f"p{len(list(self.folder.iterdir()))}"
        place.mkdir()
        (place / "vmm").write_bytes(b"".join(word.encode() + b"\0" for word in words))
        (place / "setup").write_bytes(boot.encode(Boot()))
        if start:
            (place / "start").write_bytes(boot.encode(start))
        if restored:
            (place / "restored").touch()
        return place

    def run(self, words: tuple[str, ...], script: str, name: str = "guest", *, restored: bool = False) -> Told:
        start = Boot(identity=Identity(hostname=name, seed=os.urandom(32)))
        place = self.place(words, start, restored=restored)
        done = subprocess.run(
            [native.program("shim"), place, "--", "/bin/sh", "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env={"VALUE": name},
            check=False,
        )
        return Told(done.stdout, done.stderr, done.returncode)


@pytest.fixture
def world(tmp_path: Path, busybox: Path) -> World:
    return World(tmp_path, busybox)


@pytest.fixture
def words(world: World, monitors: Monitors) -> Callable[[str, int], tuple[str, ...]]:
    """The words that start the world's guest in a monitor, with so many MiB."""

    def make(monitor: str, size: int) -> tuple[str, ...]:
        if monitor == "qemu":
            return qemu.command(world.guest(str(monitors.vmlinux), size), str(monitors.qemu), kvm=False)
        environment = {**dict(uml.ENVIRONMENT), "HOME": str(world.folder), "TMPDIR": "/dev/shm"}
        guest = world.guest(str(monitors.uml), size)
        return (*(f"{name}={value}" for name, value in environment.items()), *uml.command(guest))

    return make


@ON
def test_a_guest_is_its_application(world: World, monitor: str, words: Callable[[str, int], tuple[str, ...]]) -> None:
    done = world.run(
        words(monitor, 64), 'echo "$VALUE on $(cat /proc/sys/kernel/hostname)"; echo no >&2; exit 7', "shop"
    )
    assert done == Told("shop on shop\n", "no\n", 7)


def test_a_panic_is_told_with_the_kernels_own_words(world: World, words: Callable[[str, int], tuple[str, ...]]) -> None:
    world.initramfs.write_bytes(cpio.pack([cpio.folder("/dev")]))  # nothing to start
    done = world.run(words("uml", 64), "true")
    assert done.code == 70 and done.out == ""
    assert "VFS: Unable to mount root fs" in done.err


def test_too_little_memory_is_known_before(world: World, monitors: Monitors) -> None:
    least = memory.least(monitors.vmlinux, world.initramfs)
    memory.check(64 * MIB, least)
    with pytest.raises(RunError, match=r"begins with \d+ MiB or more, and would have 4") as error:
        memory.check(4 * MIB, least)
    assert "memory = " in error.value.hint


def test_the_least_memory_is_enough_to_begin(
    world: World, words: Callable[[str, int], tuple[str, ...]], monitors: Monitors
) -> None:
    """Init gets as far as to tell that there is no application: the root is on a disk otherwise, and in no memory."""
    world.initramfs.write_bytes(initramfs(native.program("init").read_bytes()))
    least = mebibytes(memory.least(monitors.vmlinux, world.initramfs))
    assert world.run(words("qemu", least), "").code == 127


_AS_THREE = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"


@contextmanager
def held(place: Path) -> Iterator[None]:
    """A shim whose guest waits: its descriptor 3 said so."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        words = [sys.executable, "-c", _AS_THREE, str(theirs.fileno()), str(native.program("shim")), str(place)]
        shim = subprocess.Popen(words, pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            theirs.close()
            ours.settimeout(PATIENCE)
            assert ours.recv(1) == b"w"
            yield
        finally:
            shim.kill()
            shim.wait()


def test_clones_of_one_snapshot_are_each_their_own(world: World, monitors: Monitors, tmp_path: Path) -> None:
    guest, program = world.guest(str(monitors.vmlinux)), str(monitors.qemu)
    inside, kept = tmp_path / "inside", tmp_path / "kept"
    folder = snapshots.place(kept, "machine", guest, "monitor", ())

    with ExitStack() as ending:

        def run(fresh: Path) -> Path:
            inside.symlink_to(fresh)
            control = inside / "qmp"  # a socket's path has 107 bytes
            words = qemu.command(guest, program, kvm=False, control=str(control), memory=f"{inside}/memory")
            ending.enter_context(held(world.place(words, None)))
            return control

        assert snapshots.make(folder, str(inside), run) == folder
    assert list(kept.iterdir()) == [folder], "nothing half made is left"
    inside.unlink()
    inside.symlink_to(folder)
    words = qemu.clone(guest, program, kvm=False, memory=f"{inside}/memory", script=f"{inside}/script")
    script = 'echo "$VALUE on $(cat /proc/sys/kernel/hostname) $(cat /proc/sys/kernel/random/uuid)"'
    said = [world.run(words, script, f"c{n}", restored=True) for n in range(3)]
    assert [done.out.split()[:3] for done in said] == [[f"c{n}", "on", f"c{n}"] for n in range(3)], said
    assert len({done.out.split()[3] for done in said}) == 3, "each has its own entropy"
    assert snapshots.make(folder, str(inside), lambda _: pytest.fail("it is there")) == folder
