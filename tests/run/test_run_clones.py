"""Volumes that begin as copies of others: kept ones, clones on an instance's own tmpfs, and snapshots."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from oslet.errors import RunError
from oslet.model.instance import Instance
from oslet.model.oslet import Warm
from oslet.run import Clone, Wish, client, clone_volume, cloning, instances, network, parked, stop, wait, wire
from oslet.run.copying import copy, dig
from oslet.run.output import logs
from oslet.run.snapshots import orphans

from .conftest import Toy

VOLUME = "/var/lib/toy"
PREPARE = ("/bin/sh", "-c", f"echo run; cat /proc/sys/kernel/random/uuid >{VOLUME}/id")
WARM: dict[str, Any] = {"volumes": (VOLUME,), "warm": Warm(snapshot=VOLUME, prepare=PREPARE)}
FRESH = Wish(fresh=True)


def said(toy: Toy, instance: Instance) -> str:
    wait(toy.places.state, instance.id, 60)
    return b"".join(line.text for line in logs(toy.places.state, instance.id)).decode()


def show(toy: Toy, script: str, wish: Wish = FRESH, **more: Any) -> str:
    return said(toy, toy.start("/bin/sh", "-c", script, wish=wish, **{**WARM, **more}))


# A copy


def test_a_copy_is_the_same_to_whoever_looks(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "inner").mkdir(parents=True)
    (source / "inner").chmod(0o2750)
    (source / "file").write_bytes(b"data" * 5000)
    (source / "inner/again").hardlink_to(source / "file")
    (source / "link").symlink_to("/etc/passwd")
    os.mkfifo(source / "fifo", 0o640)
    with (source / "holes").open("wb") as file:
        file.seek(8 << 20)
        file.write(b"end")
        file.truncate(16 << 20)
    (source / "program").write_bytes(b"x")
    if os.geteuid() == 0:
        os.chown(source / "program", 1234, 4321)
    (source / "program").chmod(0o4755)
    os.utime(source / "inner", ns=(1_000, 2_000))
    marked = True
    try:
        os.setxattr(source / "file", "user.mark", b"mine")
    except OSError:
        marked = False  # a file system without them
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(source, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
    copy(source, target)
    assert sorted(p.name for p in target.rglob("*")) == ["again", "fifo", "file", "holes", "inner", "link", "program"]
    for path in (source, *source.rglob("*")):
        if path.name == "socket":
            continue
        one, other = path.lstat(), (target / path.relative_to(source)).lstat()
        kept = ("st_mode", "st_uid", "st_gid", "st_size", "st_nlink", "st_mtime_ns")
        assert [getattr(one, k) for k in kept] == [getattr(other, k) for k in kept], path
    assert (target / "file").read_bytes() == b"data" * 5000
    assert (target / "file").samefile(target / "inner/again") and not (target / "file").samefile(source / "file")
    assert str((target / "link").readlink()) == "/etc/passwd"
    assert (target / "holes").read_bytes() == bytes(8 << 20) + b"end" + bytes((8 << 20) - 3)
    assert (target / "holes").stat().st_blocks <= (source / "holes").stat().st_blocks
    assert not marked or os.getxattr(target / "file", "user.mark") == b"mine"


def test_zeros_take_no_room(tmp_path: Path) -> None:
    whole = bytes(300_000) + b"log" + bytes(2 << 20)
    (tmp_path / "log").write_bytes(whole)
    (tmp_path / "link").symlink_to("/etc/passwd")
    before = (tmp_path / "log").stat()
    dig(tmp_path)
    assert (tmp_path / "log").read_bytes() == whole
    after = (tmp_path / "log").stat()
    assert after.st_blocks * 512 < 1 << 20 and after.st_mtime_ns == before.st_mtime_ns


def test_a_copy_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    source, deep = tmp_path / "source", tmp_path / "source"
    for _ in range(300):
        deep = deep / "d"
    deep.mkdir(parents=True)
    with pytest.raises(RunError, match="nested"):
        cloning.clone(source, tmp_path / "data/new", tmp_path / "data")
    assert not (tmp_path / "data/new").exists() and not list((tmp_path / "data" / cloning.ROOM).iterdir())
    (tmp_path / "data" / cloning.ROOM / "left").mkdir()  # as by a supervisor that was killed
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/file").write_text("x")
    cloning.clone(tmp_path / "plain", tmp_path / "data/new", tmp_path / "data")
    assert (tmp_path / "data/new/file").read_text() == "x"
    assert not list((tmp_path / "data" / cloning.ROOM).iterdir())
    with pytest.raises(RunError, match="there is a volume 'new' already"):
        cloning.clone(tmp_path / "plain", tmp_path / "data/new", tmp_path / "data")


# Clones of volumes


def test_a_kept_clone_goes_its_own_way(toy: Toy) -> None:
    def at(volume: str | Clone, script: str) -> str:
        return show(toy, script, Wish(volumes={VOLUME: volume}), warm=Warm())

    at("one", f"echo old >{VOLUME}/file; chown 999:999 {VOLUME}/file")
    clone_volume(toy.places, "one", "two", lambda: toy.tools)
    at("two", f"echo new >{VOLUME}/file")
    assert at("one", f"cat {VOLUME}/file") == "old\n"
    assert at(Clone("one"), f"cat {VOLUME}/file; echo gone >{VOLUME}/file; cat {VOLUME}/file") == "old\ngone\n"
    assert at("one", f"cat {VOLUME}/file; stat -c %u {VOLUME}/file") == "old\n999\n"
    assert at("two", f"cat {VOLUME}/file; stat -c %u {VOLUME}/file") == "new\n999\n"
    with pytest.raises(RunError, match="there is a volume 'two' already"):
        clone_volume(toy.places, "one", "two", lambda: toy.tools)
    with pytest.raises(RunError, match="there is no volume 'none'"):
        clone_volume(toy.places, "none", "three", lambda: toy.tools)
    with pytest.raises(RunError, match="no folder"):
        at(Clone("none"), "true")


def test_a_volume_in_use_is_not_copied(toy: Toy) -> None:
    user = toy.start("/bin/sleep", "60", volumes=(VOLUME,), wish=Wish(name="user", volumes={VOLUME: "one"}))
    with pytest.raises(RunError, match="one is in use by user"):
        clone_volume(toy.places, "one", "two", lambda: toy.tools)
    with pytest.raises(RunError, match="one is in use by user"):
        show(toy, "true", Wish(volumes={VOLUME: Clone("one")}))
    stop(toy.places.state, user.id, 0)
    own = toy.start("/bin/sleep", "60", volumes=(VOLUME,), wish=Wish(name="own"))
    with pytest.raises(RunError, match="own is in use by own"):
        clone_volume(toy.places, "own", "two", lambda: toy.tools)
    stop(toy.places.state, own.id, 0)
    clone_volume(toy.places, "one", "two", lambda: toy.tools)
    show(toy, "true", Wish(volumes={VOLUME: Clone("one")}))
    assert (toy.places.data / "two").is_dir()


# Snapshots


def test_a_snapshot_is_made_once_and_never_changed(toy: Toy) -> None:
    script = f"cat {VOLUME}/id {VOLUME}/first; id -u; test -e {VOLUME}/mine && echo found; echo >{VOLUME}/mine"
    seen: list[str] = []
    starts = [threading.Thread(target=lambda: seen.append(show(toy, script))) for _ in range(4)]
    for each in starts:
        each.start()
    for each in starts:
        each.join()
    assert len(set(seen)) == 1 and len(seen) == 4, "all of one preparation, none of them another's"
    assert seen[0].endswith("\nfirst\n999\n"), "with the image's own content there, too"
    assert not list(toy.places.data.glob("[!.]*")), "nothing is kept"
    kept = show(toy, script, Wish(name="kept"))
    assert kept == seen[0], "a fresh volume begins as a copy"
    assert show(toy, script, Wish(name="kept")) == seen[0].replace("999\n", "999\nfound\n"), "and stays"
    assert show(toy, script) == seen[0]


def test_a_snapshot_is_known_by_what_its_command_was_told(toy: Toy) -> None:
    other = Warm(snapshot=VOLUME, prepare=(*PREPARE, "other"))
    script = f"cat {VOLUME}/id"
    assert show(toy, script) == show(toy, script) != show(toy, script, warm=other)
    places = list((toy.places.data / ".snapshots").iterdir())
    assert sorted(orphans(toy.places.data, frozenset())) == sorted(places)
    assert not list(orphans(toy.places.data, frozenset(p.name for p in places)))


def test_a_preparation_that_fails_leaves_nothing(toy: Toy) -> None:
    broken = Warm(snapshot=VOLUME, prepare=("/bin/sh", "-c", f"echo half >{VOLUME}/half; echo no space >&2; exit 7"))
    for _ in range(2):
        with pytest.raises(RunError, match="can't be prepared: /bin/sh ended with 7") as caught:
            show(toy, "true", warm=broken)
        assert "no space" in caught.value.hint
    assert not list(toy.places.data.rglob("half")) and not instances(toy.places.state)


def test_a_supervisor_killed_while_it_prepares_is_followed_by_one_that_does(toy: Toy) -> None:
    slow = Warm(snapshot=VOLUME, prepare=("/bin/sh", "-c", f"cat /proc/sys/kernel/random/uuid >{VOLUME}/id; sleep 0.5"))
    seen: list[str] = []
    start = threading.Thread(target=lambda: seen.append(show(toy, f"cat {VOLUME}/id", warm=slow)))
    start.start()
    deadline = time.monotonic() + 30
    while not instances(toy.places.state) and time.monotonic() < deadline:
        time.sleep(0.005)
    reply = client.ask(toy.places.state, wire.Ask())
    assert isinstance(reply, wire.Waiting)
    os.kill(reply.pid, signal.SIGKILL)
    start.join()
    assert len(seen[0]) == 37
    assert [i.image_name for i in instances(toy.places.state)] == ["toy"], "and no other is left"
    assert show(toy, f"cat {VOLUME}/id", warm=slow) == seen[0]


def test_slots_wait_with_a_clone_of_their_own(toy: Toy) -> None:
    sealed = toy.sealed("/bin/sh", "-c", f"cat {VOLUME}/id; echo >{VOLUME}/id", **WARM)
    from oslet.model.instance import Arguments
    from oslet.run import start

    def waiting() -> int:
        reply = client.ask(toy.places.state, wire.Ask())
        assert isinstance(reply, wire.Waiting)
        return sum(reply.slots.values())

    given = (Arguments({}), FRESH, lambda: toy.tools, toy.places)
    with parked(sealed, *given, 2):
        with parked(sealed, *given, 1):
            assert waiting() == 3
        began = {said(toy, start(sealed, *given)) for _ in range(4)}
        assert len(began) == 1
    deadline = time.monotonic() + 10
    while waiting() > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert waiting() <= 1, "but for one more that may come"


def test_a_port_of_the_kernel_s_choice() -> None:
    (one,), (other,) = (network.published(["80"], ["0:80"]) for _ in range(2))
    assert one.container == other.container == 80 and one.host > 1023 and other.host > 1023
    with socket.socket() as taker:
        taker.bind((one.address, one.host))
