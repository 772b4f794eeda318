"""Watched instances: what they use is recorded, and they never notice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from oslet.errors import RunError
from oslet.model.instance import Arguments
from oslet.model.watch import Use, Watched
from oslet.run import Ending, Wish, execute, logs, run, wait, watching
from oslet.run.monitor import Stdio
from oslet.run.records import find

from .conftest import Toy

pytestmark = pytest.mark.slow
WATCHED = Wish(watched=True)


def used(toy: Toy, script: str) -> tuple[int, str, dict[str, Use]]:
    """Run a shell script watched: its exit code, its standard output, and the paths that it used."""
    endings: list[Ending] = []
    null, out = os.open("/dev/null", os.O_RDWR), os.memfd_create("out")
    try:
        sealed = toy.sealed("sh", "-c", script)
        streams = Stdio(null, out, null)
        code = run(sealed, Arguments({}), WATCHED, lambda: toy.tools, toy.places, streams, ending=endings.append)
        said = os.pread(out, 1 << 16, 0).decode()
    finally:
        os.close(null)
        os.close(out)
    (ending,) = endings
    assert ending.watched and ending.watched.ended and ending.code == code
    return code, said, {use.path: use for use in ending.watched.uses}


def test_what_is_used_is_recorded_with_who_and_how(toy: Toy) -> None:
    code, said, uses = used(
        toy, "cd /etc && /bin/cat ./kept ../etc/kept; ls /var/run; stat /srv; : >/tmp/new; cat /no; exit 3"
    )
    assert code == 3 and said.startswith("of the image\nof the image\n")
    assert uses["/etc"].how == ("entered",)
    kept = uses["/etc/kept"]
    assert "opened" in kept.how and kept.process == "cat" and kept.pid > 0 and kept.count >= 2
    assert uses["/bin/cat"].how == ("linked",) and "run" in uses["/bin/busybox"].how
    assert "linked" in uses["/var/run"].how and "listed" in uses["/run"].how
    assert uses["/srv"].how == ("looked",)
    assert "filled" in uses["/tmp"].how
    assert not {"/no", "/tmp/new", "/proc", "/var/lib/toy/first"} & uses.keys()


def eventually(found: Callable[[], Watched | None], path: str) -> Use:
    for _ in range(3000):
        if use := {u.path: u for u in (found() or Watched("")).uses}.get(path):
            return use
        time.sleep(0.02)
    raise AssertionError(f"{path} is never used")


def test_a_command_inside_is_heard_while_the_instance_runs(toy: Toy) -> None:
    instance = toy.start("sleep", "1000", wish=WATCHED)
    folder, _ = find(toy.places.state, instance.id)
    eventually(lambda: watching.read(folder), "/bin/busybox")
    seen = watching.of(toy.places.state, instance.id)
    assert not seen.ended and seen.image == instance.image and "/etc/kept" not in {u.path for u in seen.uses}
    null = os.open("/dev/null", os.O_RDWR)
    try:
        assert execute(toy.places.state, instance.id, ("cat", "/etc/kept"), stdio=Stdio(null, null, null)) == 0
    finally:
        os.close(null)
    assert eventually(lambda: watching.read(folder), "/etc/kept").process == "cat"


def test_nobody_hangs_when_the_watcher_dies(toy: Toy) -> None:
    instance = toy.start("sh", "-c", "echo up; sleep 1; cat /etc/kept || exit 7", wish=WATCHED)
    _, record = find(toy.places.state, instance.id)
    os.kill(record.watcher, signal.SIGKILL)
    assert wait(toy.places.state, instance.id) not in (0, 137)
    assert b"of the image\n" not in [line.text for line in logs(toy.places.state, instance.id)]


def test_who_is_not_watched_says_how_to_be(toy: Toy) -> None:
    instance = toy.start("sleep", "1000")
    with pytest.raises(RunError) as refused:
        watching.of(toy.places.state, instance.id)
    assert "--audit" in refused.value.hint
