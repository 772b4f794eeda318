"""The build sandbox: no network, no writing, or a layer that is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from oslet.errors import BuildError
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
    changes = tmp_path / "changes"
    changes.mkdir()
    script = "mkdir /etc/new && echo hi > /etc/new/x && rm /etc/kept && touch /tmp/not-kept"
    assert Isolated(toy.tools)(toy.root, ["/bin/sh", "-c", script], changes=changes).code == 0
    assert (changes / "etc/new/x").read_text() == "hi\n"
    gone = (changes / "etc/kept").lstat()
    assert (gone.st_rdev, (changes / "etc/kept").is_char_device()) == (0, True)
    uids = ids.mapping(0, 0)
    outer = ids.through(uids.inner_uids, 0) or 0
    on_disk = ids.through(uids.outer_uids, outer) if uids.rootless else outer
    assert (changes / "etc/new/x").stat().st_uid == on_disk
    assert not list((changes / "tmp").glob("*")) if (changes / "tmp").exists() else True
    assert [p.name for p in tmp_path.iterdir()] == ["changes"]


@pytest.mark.parametrize("command, said", [(["/bin/sleep", "60"], "didn't end"), (["/bin/nope"], "/bin/nope")])
def test_what_cant_be_run_is_a_build_error(toy: Toy, command: list[str], said: str) -> None:
    with pytest.raises(BuildError, match=said):
        Isolated(toy.tools)(toy.root, command, timeout=0.3 if "sleep" in command[0] else 30)
