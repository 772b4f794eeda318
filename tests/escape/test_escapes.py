"""Escapes: what is tried from inside an instance, and what comes of it. docs/security.md has the table."""

from __future__ import annotations

import ctypes
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from oslet.errors import RunError
from oslet.model.tree import Entry
from oslet.run import Wish

from ..run.conftest import Toy
from .conftest import WAYS
from .probes import Said, read

pytestmark = [pytest.mark.slow, pytest.mark.network]

CONTAINED = {"hosts_root", "packet"}
"""What works, and reaches only what is the instance's own. All else is refused."""


@pytest.mark.parametrize("way", WAYS)
def test_nothing_gets_out(world: Toy, heard: str, way: str) -> None:
    said = read(WAYS[way](world, "/bin/probes", heard))
    assert len(said) > 60
    assert {name for name, each in said.items() if each.outcome == "open"} == set()
    assert {name for name, each in said.items() if each.outcome == "contained"} <= CONTAINED


def test_the_machines_sockets_are_its_own_unless_it_shares_the_network(world: Toy, heard: str) -> None:
    """An abstract socket belongs to its network namespace: with the machine's own, which a start may ask for, only
    Landlock stands before the machine's, where the kernel's can (ABI 6, Linux 6.12)."""
    walled = ctypes.CDLL(None).syscall(444, None, 0, 1) >= 6
    for network, outcome in (("none", "refused"), ("host", "refused" if walled else "open")):
        said = read(world.run("/bin/probes", heard, network=network)[1])
        assert said["sockets"].outcome == outcome
        assert {name for name, each in said.items() if each.outcome == "open"} - {"sockets"} == set()


def test_root_of_an_image_is_nobody_outside(world: Toy) -> None:
    said = read(world.run("/bin/probes", uid=0, gid=0)[1])
    assert said["root"] == Said("be root of the machine", "contained", "root of its own namespace")
    assert {name for name, each in said.items() if each.outcome == "open"} == set()


def test_what_one_writes_no_other_sees(world: Toy) -> None:
    write = "echo mine > /etc/kept; echo mine > /tmp/new; cat /etc/kept"
    assert world.run("sh", "-c", write, uid=0, gid=0)[1] == "mine\n"
    assert world.run("sh", "-c", "cat /etc/kept; ls /tmp", uid=0, gid=0)[1] == "of the image\n"
    assert (world.root / "etc/kept").read_text() == "of the image\n"


def test_a_read_only_instance_writes_to_its_volumes_and_scratch_only(world: Toy) -> None:
    script = (
        "for f in /etc/kept /srv/x /bin/x /tmp/x /run/x /var/lib/toy/x; do (echo y > $f) 2>/dev/null && echo $f; done"
    )
    more: dict[str, Any] = {"volumes": ("/var/lib/toy",), "uid": 0, "gid": 0}
    wish = Wish(read_only=True)
    assert world.run("sh", "-c", script, wish=wish, **more)[1].split() == ["/tmp/x", "/run/x", "/var/lib/toy/x"]
    said = read(world.run("/bin/probes", wish=wish, **more)[1])
    assert {name for name, each in said.items() if each.outcome == "open"} == set()


def test_the_program_that_made_it_is_out_of_reach(world: Toy) -> None:
    """CVE-2019-5736: an image whose command is a link to whoever executes it. What is found there can't be written."""
    before = world.tools.crun.read_bytes()
    (world.root / "bin/self").symlink_to("/proc/self/exe")
    link = Entry("/bin/self", "link", 0o777, target="/proc/self/exe")
    with suppress(RunError):
        world.run("/bin/self", more=(link,))
    script = "for p in /proc/[0-9]*; do (: >> $p/exe) 2>/dev/null && echo $p; done; echo end"
    assert world.run("sh", "-c", script, uid=0, gid=0)[1] == "end\n"
    assert world.tools.crun.read_bytes() == before


def test_no_working_folder_leads_out(world: Toy, tmp_path: Path) -> None:
    """CVE-2024-21626: a working folder by way of a descriptor that the runtime left open."""
    (tmp_path / "marker").write_text("of the machine\n")
    marker = "../" * 12 + f"{str(tmp_path)[1:]}/marker"
    reach = f"cat {marker} ./{marker} /proc/self/cwd/{marker}"
    for number in range(3, 10):
        with suppress(RunError):
            assert "of the machine" not in world.run("sh", "-c", reach, workdir=f"/proc/self/fd/{number}")[1]


@pytest.mark.parametrize("climbs", [False, True], ids=["absolute", "climbing"])
def test_links_of_a_hostile_image_stay_inside(world: Toy, tmp_path: Path, climbs: bool) -> None:
    """Where a mount is to be there is a link out of the root. The mount lands inside, or the start is refused."""
    outside = tmp_path / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    target = ("../" * 20 if climbs else "/") + str(outside)[1:]
    mounted = Path("/proc/self/mountinfo").read_text()
    for place in ("/srv", "/tmp", "/run", "/proc", "/dev/shm", "/dev/pts", "/dev"):
        spot = world.root / place[1:]
        if spot.is_dir():
            shutil.rmtree(spot)
        spot.parent.mkdir(exist_ok=True)
        spot.symlink_to(target)
        more = (Entry("/dev", "dir", 0o755), Entry(place, "link", 0o777, target=target))
        wish = Wish(read_only=place in ("/tmp", "/run"))
        with suppress(RunError):
            volumes = ("/srv",) if place == "/srv" else ()
            world.run("sh", "-c", f"echo in > {place}/new", more=more, volumes=volumes, wish=wish)
        assert list(outside.iterdir()) == [], place
        spot.unlink()
    assert Path("/proc/self/mountinfo").read_text() == mounted


def test_a_volumes_content_cant_redirect_its_next_mount(world: Toy, tmp_path: Path) -> None:
    """An instance replaces what it can of its volume by links; the next start follows none of them."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o777)
    more: dict[str, Any] = {"volumes": ("/var/lib/toy", "/var/lib/toy/inner"), "uid": 0, "gid": 0}
    world.run("sh", "-c", f"rm -rf /var/lib/toy/*; ln -s {outside} /var/lib/toy/inner; ls -l /var/lib/toy", **more)
    with suppress(RunError):
        world.run("sh", "-c", "echo in > /var/lib/toy/inner/new", **more)
    assert list(outside.iterdir()) == []
