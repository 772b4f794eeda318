"""Audit, trace and test as a person types them, on a made package whose documentation is left out."""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from pathlib import Path

import pytest

from oslet.model.source import Debian
from oslet.store import Store
from oslet.testing.archive import FakeArchive
from oslet.testing.makers import Made
from oslet.workspace.tools import provision

from ..conftest import Oslet

pytestmark = [pytest.mark.slow, pytest.mark.network]
WAITS = "trap 'exit 0' TERM; while :; do busybox sleep 0.1; done"
MANUAL, PAGE = "/usr/share/doc/box/manual", "/usr/share/man/man1/box.1"


class World(Oslet):
    """An application that reads what its image keeps, and on request what it leaves out."""

    def __init__(self, folder: Path, busybox: Path) -> None:
        super().__init__(folder / "home", folder)
        archive = FakeArchive(folder / "archive")
        files: dict[str, bytes | str | Made] = {
            "/usr/bin/busybox": Made(busybox.read_bytes(), 0o755),
            "/etc/box.conf": "kept\n",
            "/usr/share/doc/box/copyright": "free\n",
            MANUAL: "how to\n",
            PAGE: "page\n",
        }
        archive.add("box", files=files)
        archive.release()
        self.source = archive.source()
        self.file = folder / "box.toml"

    def declare(self, script: str, more: str = "") -> str:
        """A declaration whose command is a shell script."""
        command = json.dumps(["busybox", "sh", "-c", script])
        self.file.write_text(
            f'name = "box"\npackages = ["box"]\ncommand = {command}\nnetwork = "none"\n{more}\n'
            f'[source]\nmirror = "{self.source.mirror}"\nkeyring = "{self.source.keyring}"\npockets = []\n'
        )
        return str(self.file)


@pytest.fixture(scope="module")
def runtime(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with crun on it, got once for all worlds where this machine has none."""
    if not shutil.which("crun"):
        folder = tmp_path_factory.mktemp("runtime")
        (folder / "crun").symlink_to(provision("crun", Store(home), lambda *_: None, Debian()))
        return f"{folder}:{os.environ['PATH']}"
    return os.environ["PATH"]


@pytest.fixture
def world(tmp_path: Path, busybox: Path, runtime: str) -> World:
    world = World(tmp_path, busybox)
    world.environment["PATH"] = runtime
    return world


def test_an_audit_serves_what_was_left_out_and_says_so(world: World) -> None:
    file = world.declare(f"busybox cat /etc/box.conf {MANUAL}; busybox cat /srv/none; exit 3")
    assert "how to" not in world("run", file, code=3).stdout
    done = world("run", "--audit", file, code=3)
    assert done.stdout == "kept\nhow to\n"
    assert "1 dropped path was asked for" in done.stderr and f'keep = ["{MANUAL}"]' in done.stderr
    assert "documentation is read by people" in done.stderr and "/srv/none:" not in done.stderr.replace("cat: ", "")
    world.file.write_text(f'keep = ["{MANUAL}"]\n{world.file.read_text()}')
    assert world("run", file, code=3).stdout == "kept\nhow to\n", "the line that the audit gave"
    assert "no dropped path was asked for" in world("run", "--audit", file, code=3).stderr


def test_an_audit_in_the_background_outlives_gc(world: World) -> None:
    file = world.declare(f"until busybox test -e /tmp/go; do busybox sleep 0.1; done; busybox cat {MANUAL}; exit 3")
    world("build", file)
    world("gc")
    try:
        world("run", "-d", "--audit", "--name", "seen", file)
        assert world.json("audit", "seen") == []
        world("gc")
        world("exec", "seen", "busybox", "touch", "/tmp/go")
        assert world("wait", "seen").stdout == "3\n"
        assert world("logs", "seen").stdout == "how to\n"
        (found,) = world.json("audit", "seen")
        assert (found["path"], found["keep"], found["origin"]) == (MANUAL, MANUAL, "box")
        assert found["process"] and found["pid"] > 0 and found["how"] == ["opened"] and found["first"] > 1e9
        assert f'keep = ["{MANUAL}"]' in world("audit", "seen").stdout
    finally:
        world("rm", "--force", "seen")
    assert world.json("gc")["trees"] == 1, "the whole tree was the instance's"
    assert "oslet ps" in world("audit", "seen", code=6).stderr


def test_a_trace_is_evidence_for_later_builds(world: World) -> None:
    file = world.declare(f"busybox cat {MANUAL}")
    traced = world.json("trace", file)
    used = tomllib.loads(world.file.with_suffix(".trace").read_text())["used"]
    assert MANUAL in used and "/usr/bin/busybox" in used and "/etc/box.conf" not in used
    assert traced["lost"] == [MANUAL] and traced["trace"]["used"] == used
    assert "/etc/box.conf" in [each["path"] for each in traced["unused"]]
    for _ in range(2):
        said = world("build", file, code=5).stderr
        assert "box.trace" in said and MANUAL in said and "documentation" in said and f'keep = ["{MANUAL}"]' in said
    plain = world.file.read_text()
    world.file.write_text(f'keep = ["{MANUAL}"]\n{plain}')
    assert world("build", file).stdout == world("build", file).stdout
    world.file.write_text(plain)
    world("build", file, code=5)
    world.declare("busybox cat /etc/box.conf")
    assert MANUAL in world.json("trace", file, "--add")["lost"], "both workloads count"
    assert world.json("trace", file)["lost"] == [], "the last one alone"
    world("build", file)
    lock = world.file.with_suffix(".lock")
    world.file.with_suffix(".trace").write_text('format = 1\nlock = "' + "ab" * 32 + f'"\nused = ["{MANUAL}"]\n')
    assert "another lock" in world("build", file).stderr
    assert lock.exists()


def test_a_workload_is_told_where_the_instance_is(world: World) -> None:
    file = world.declare(WAITS)
    script = "test -n $OSLET_INSTANCE; exit 9"
    done = world("trace", file, "--dry-run", "--", "sh", "-c", script, code=9)
    assert "kept and not used" in done.stderr and not world.file.with_suffix(".trace").exists()
    assert "no-such-program" in world("trace", file, "--", "no-such-program", code=6).stderr
    assert world.json("ps", "--all") == [], "nothing is left"


CHECKS = f"""
[[checks]]
name = "kept"
run = ["busybox", "cat", "{{path}}"]
[[checks]]
name = "manual"
run = ["busybox", "cat", "{MANUAL}"]
[[checks]]
name = "inside"
exec = ["busybox", "cat", "/tmp/state"]
[[checks]]
name = "random"
run = ["busybox", "cat", "/proc/sys/kernel/random/uuid"]
[params]
path = {{ type = "path", default = "/etc/box.conf" }}
"""


def test_checks_are_held_against_the_untrimmed_image(world: World) -> None:
    file = world.declare(f"echo up >/tmp/state; {WAITS}", CHECKS)
    done = world("test", file, code=5)
    rows = {line.split()[0]: line.split()[2:] for line in done.stdout.splitlines()[1:]}
    assert rows == {
        "kept": ["same", "0", "0"],
        "manual": ["different", "1", "0"],
        "inside": ["same", "0", "0"],
        "random": ["unsteady", "0", "0"],
    }
    assert "box.toml: 1 of 4 checks" in done.stderr and "unsteady: random" in done.stderr and MANUAL in done.stderr
    assert world.json("ps", "--all") == [] and world.json("volumes") == []
    world.file.write_text(f'keep = ["{MANUAL}"]\n{world.file.read_text()}')
    outcomes = world.json("test", file, "--path", "/usr/share/doc/box/copyright")
    assert [o["verdict"] for o in outcomes] == ["same", "same", "same", "unsteady"]
    assert outcomes[0]["trimmed"] == {"code": 0, "said": {"stdout": "free\n", "stderr": ""}}
    assert "no checks" in world("test", world.declare("true"), code=2).stderr


def test_an_instance_that_misses_a_file_is_told_which_line_keeps_it(world: World) -> None:
    keep = f'keep = ["{MANUAL}"]'
    file = world.declare(f"busybox cat {MANUAL}")
    assert keep in world("run", file, code=1).stderr
    assert "keep =" not in world("run", world.declare("busybox cat /srv/none"), code=1).stderr
    file = world.declare(f"exec busybox cat {MANUAL}")
    try:
        world("run", "-d", "--name", "lost", file)
        assert keep in world("wait", "lost").stderr
        assert keep in world("logs", "lost").stderr
        said = world("run", "-d", "--wait", file, "--", PAGE, code=6).stderr
        assert f'keep = ["{PAGE}"]' in said
    finally:
        world("rm", "--force", "lost")
