"""Processes killed with SIGKILL at every step, and several at once: what was there stays, and nothing is half there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oslet.store import Store
from oslet.testing.makers import sha256
from tests.store import world

ROOT = Path(__file__).parents[2]

BUILD = """
import os, sys
from pathlib import Path
from oslet.store import Store
from tests.store import world

left = int(sys.argv[2])

def deadly(name):
    real = getattr(os, name)
    def call(*args, **kwargs):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), 9)
        return real(*args, **kwargs)
    setattr(os, name, call)

for name in ("rename", "link", "mkdir", "write", "fsync", "fdatasync", "chmod", "unlink", "rmdir"):
    deadly(name)
store = Store(Path(sys.argv[1]))
if sys.argv[3] == "build":
    with store.writing():
        store.add_blob([b"deb"], sys.argv[4], 3, where="x")
        store.put_stream([os.urandom(1 << 20)] * 2, 0o755)
        world.sealed(store, "web", {"/usr/bin/x": b"new", "/d/y": b"y", "/same": b"same"})
else:
    store.untag("web")
    store.gc()
print("done")
"""


def child(*arguments: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    command = [sys.executable, "-c", BUILD, *arguments, sha256(b"deb")]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("what", ["build", "gc"])
def test_killed_at_every_step(tmp_path: Path, what: str) -> None:
    """Each killed process works on what the one before it left behind; two at a time, each on a store of its own."""
    stores = [Store(tmp_path / str(n)) for n in range(2)]
    finished = False
    step = 1
    kept: dict[Path, str] = {}
    for store in stores:
        kept[store.root] = world.sealed(store, "kept", {"/same": b"same", "/usr/bin/k": b"k"})
    while not finished:
        running = []
        for store in stores:
            if what == "gc":
                store.put(b"stray%d" % step)
                world.sealed(store, "web", {"/usr/bin/x": b"%d" % step, "/d/y": b"y", "/same": b"same"})
                store.close()
            running.append((store, child(str(store.root), str(step), what)))
            step += 1 if what == "build" else 2
        for store, process in running:
            out, _ = process.communicate(timeout=60)
            finished = finished or out == "done\n"
            assert out == "done\n" or process.returncode == -9
            assert store.verify() == []
            assert store.find("kept")[0] == kept[store.root]
            assert (store.rootfs(store.find("kept")[1]) / "same").read_bytes() == b"same"
            if "web" in store.image_names():
                assert (store.rootfs(store.find("web")[1]) / "d/y").read_bytes() == b"y"
    assert step > 20
    for store in stores:
        store.gc()
        assert list((store.root / "tmp").iterdir()) == []
        assert store.verify() == []


def test_several_builders_and_a_collector(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    running = [child(str(store.root), "0", "build") for _ in range(3)]
    while any(process.poll() is None for process in running):
        store.gc()
    assert [process.communicate()[0] for process in running] == ["done\n"] * 3
    assert store.verify() == []
    assert (store.rootfs(store.find("web")[1]) / "usr/bin/x").read_bytes() == b"new"
