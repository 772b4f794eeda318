"""Filters: never wider than Docker's; what an image has no use for is recorded, or refused."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from oslet.errors import RunError
from oslet.formats.code.names import by_number
from oslet.run import Wish, execute, landlock, remove, watching
from oslet.run.config import seccomp
from oslet.run.filters import BEFORE, MODES, beyond, every, filter_of
from oslet.run.monitor import Stdio

from ..run.conftest import Toy
from .probes import static

HERE = Path(__file__).parent
DOCKER = {w for line in (HERE / "docker.txt").read_text().splitlines() if line[0] != "#" for w in line.split()}


def allowed(filters: dict[str, Any]) -> set[str]:
    """The names that a filter lets through, under whatever conditions."""
    passing = ("SCMP_ACT_ALLOW", "SCMP_ACT_NOTIFY")
    return {name for rule in filters["syscalls"] if rule["action"] in passing for name in rule["names"]}


def test_no_filter_is_wider_than_dockers() -> None:
    assert allowed(seccomp()) <= DOCKER
    assert {*every()} == allowed(seccomp())
    assert {*every()} <= {*by_number("x86_64").values(), *by_number("aarch64").values()}
    everything = {*by_number("x86_64").values()}
    for mode in MODES:
        assert allowed(filter_of(mode, everything)) <= DOCKER


def test_what_docker_asks_of_an_argument_is_asked() -> None:
    """clone, socket and personality are let through for some arguments only; clone3, which can't be seen into, not."""
    bare = {n for rule in seccomp()["syscalls"] if not rule.get("args") for n in rule["names"]}
    assert bare & {"clone", "socket", "personality"} == set()
    assert {"clone", "socket", "personality"} <= allowed(filter_of("image", {"clone", "socket", "personality"}))
    (clone3,) = [rule for rule in filter_of("image", ())["syscalls"] if "clone3" in rule["names"]]
    assert clone3["action"] == "SCMP_ACT_ERRNO"


def test_an_images_filter_has_its_calls_and_what_comes_before() -> None:
    wanted = {"openat", "mlock", "ptrace"}
    assert allowed(filter_of("image", wanted)) == {"openat", "mlock", *(BEFORE & {*every()})}
    assert {"openat", "mlock"} & {*beyond(wanted)} == set() and "chmod" in beyond(wanted)
    assert filter_of("default", None) == seccomp()
    with pytest.raises(RunError):
        filter_of("image", None)


@pytest.mark.slow
@pytest.mark.network
def test_what_the_image_has_no_use_for_is_recorded_or_refused(world: Toy) -> None:
    every_but = tuple(n for n in every() if n not in ("chmod", "fchmodat", "fchmodat2"))
    script = "chmod 600 /tmp && echo done"
    assert world.run("sh", "-c", f"busybox {script}", wish=Wish(seccomp="image", calls=every_but))[1] == ""
    assert world.run("sh", "-c", f"busybox {script}", wish=Wish(seccomp="image", calls=every()), uid=0)[1] == "done\n"
    instance = world.start("sleep", "1000", wish=Wish(seccomp="log", calls=every_but), uid=0, gid=0)
    assert watching.of(world.places.state, instance.id).beyond == ()
    null = os.open("/dev/null", os.O_RDWR)
    try:
        assert (
            execute(world.places.state, instance.id, ("busybox", "chmod", "711", "/tmp"), stdio=Stdio(null, null, null))
            == 0
        )
    finally:
        os.close(null)
    for _ in range(400):
        if found := watching.of(world.places.state, instance.id).beyond:
            break
        time.sleep(0.02)
    assert found and [(each.name in ("chmod", "fchmodat"), each.process) for each in found] == [(True, "busybox")]
    remove(world.places.state, instance.id, force=True)


@pytest.mark.slow
def test_landlock_leaves_what_the_rules_say(tmp_path: Path) -> None:
    locked = static(HERE / "locked.c")
    inside = tmp_path / "volume"
    inside.mkdir()
    rules = (landlock.Rule("/", landlock.READ), landlock.Rule(str(inside), landlock.ALL), landlock.Rule("/none", 1))
    script = f"echo x > {inside}/new && echo volume; (echo x > {tmp_path}/new) 2>/dev/null || echo kept"
    script += f"; mkfifo {inside}/f && echo fifo"
    done = subprocess.run([locked, "sh", "-c", script], input=landlock.pack(rules), capture_output=True)
    if done.returncode == 2:
        pytest.skip(f"this kernel has no Landlock: {done.stdout.decode()}")
    assert done.stdout.decode().split() == ["volume", "kept", "fifo"]
    for cut in (b"", landlock.pack(rules)[:-1], landlock.pack(rules)[:40]):
        assert subprocess.run([locked, "true"], input=cut, capture_output=True).returncode == 3


def test_landlock_grants_no_more_than_is_declared() -> None:
    granted = {rule.path: rule.rights for rule in landlock.rules(("/data",), ("/home/x",), read_only=True)}
    assert granted["/"] == landlock.READ and granted["/data"] == landlock.ALL and "/home/x" not in granted
    assert all(not rights & (landlock.MAKE_CHAR | landlock.MAKE_BLOCK) for rights in granted.values())
    with pytest.raises(ValueError):
        landlock.pack((landlock.Rule("/a\0b", 1),))
