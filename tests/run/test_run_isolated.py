"""The build sandbox: no network, no writing, or a layer that is kept."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from oslet.errors import BuildError
from oslet.formats import tar
from oslet.run import ids
from oslet.run.isolated import Isolated
from tests.run.conftest import Toy

pytestmark = [pytest.mark.slow, pytest.mark.network]


def test_a_command_sees_the_tree_and_its_input_and_no_network(toy: Toy) -> None:
    script = "id -u; cat; ls /sys; echo x > /etc/new; touch /tmp/x && echo tmp; cat /proc/net/dev; exit 3"
    done = Isolated(toy.tools)(toy.root, ["/bin/sh", "-c", script], stdin=b"given\n")
    assert done.code == 3
    assert done.stdout.startswith(b"0\ngiven\ntmp\n")
    assert {line.split(b":")[0].strip() for line in done.stdout.splitlines() if b":" in line} == {b"lo"}
    assert b"Read-only" in done.stderr
    assert not (toy.root / "etc/new").exists()


def test_changes_are_a_layer(toy: Toy, tmp_path: Path) -> None:
    """Owners are the instance's, what is removed is a whiteout, and what an ordinary user can't read is there too."""
    one_id = ids.mapping(0, 0).single
    give = "true" if one_id else "chown 33:34 /etc/new/x"
    script = f"mkdir /etc/new && echo hi > /etc/new/x && chmod 600 /etc/new/x && {give} && rm /etc/kept && touch /tmp/n"
    assert Isolated(toy.tools)(toy.root, ["/bin/sh", "-c", script], changes=tmp_path / "changes").code == 0
    with (tmp_path / "changes").open("rb") as stream:
        found = {m.path: (m, b"".join(data)) for m, data in tar.read(stream, where="changes")}
    member, data = found["/etc/new/x"]
    assert data == b"hi\n"
    assert (member.mode, member.uid, member.gid) == (0o600, *((0, 0) if one_id else (33, 34)))
    assert "/etc/.wh.kept" in found
    assert "/etc/kept" not in found and "/tmp/n" not in found
    assert [p.name for p in tmp_path.iterdir()] == ["changes"]


@pytest.mark.parametrize("command, said", [(["/bin/sleep", "60"], "didn't end"), (["/bin/nope"], "/bin/nope")])
def test_what_cant_be_run_is_a_build_error(toy: Toy, command: list[str], said: str) -> None:
    with pytest.raises(BuildError, match=said):
        Isolated(toy.tools)(toy.root, command, timeout=0.3 if "sleep" in command[0] else 30)


def test_a_folder_of_the_machine_can_be_written(toy: Toy, tmp_path: Path) -> None:
    """By the instance's root, at a path of its own; the tree stays as it is."""
    given = tmp_path / "given"
    given.mkdir()
    (given / "in").write_text("in\n")
    owner = ids.through(ids.mapping(0, 0).inner_uids, 0)
    if owner is not None and not ids.mapping(0, 0).rootless:
        os.chown(given, owner, owner)
    script = "cat /work/in; echo out > /work/out; echo x > /etc/new"
    done = Isolated(toy.tools)(toy.root, ["/bin/sh", "-c", script], folders=[(given, "/work")])
    assert (done.stdout, (given / "out").read_text()) == (b"in\n", "out\n")
    assert b"Read-only" in done.stderr and not (toy.root / "work").exists()


def test_a_step_ends_with_who_asked_for_it(toy: Toy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However that is: a compilation of minutes was left running when its oslet was killed."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # who is killed leaves a folder there
    seconds = f"1000.{os.getpid()}{time.monotonic_ns()}"

    def sleeps() -> bool:
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and seconds.encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                    return True
        return False

    asking = multiprocessing.get_context("fork").Process(
        target=lambda: Isolated(toy.tools)(toy.root, ["/bin/sleep", seconds])
    )
    asking.start()
    until(sleeps)
    asking.kill()
    until(lambda: not sleeps())
    asking.join()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
