"""Files to and from instances: what a hostile stream or a hostile instance can't do to this machine."""

from __future__ import annotations

import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from oslet.errors import RunError
from oslet.run import Wish, execute
from oslet.run.carrying import CarryError, pack, unpack
from oslet.run.monitor import Stdio
from oslet.run.transfer import fetch, put
from oslet.run.visiting import visit

from .conftest import Toy


def stream(*members: tuple[str, bytes, str]) -> io.BytesIO:
    """A tar of members: name, type, and what a file holds or a link leads to."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, kind, text in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, 0o6755
            if kind == tarfile.REGTYPE:
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
            else:
                member.linkname = text
                tar.addfile(member)
    whole.seek(0)
    return whole


FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def test_what_is_packed_is_unpacked(tmp_path: Path) -> None:
    source = tmp_path / "from"
    (source / "sub").mkdir(parents=True)
    (source / "sub/file").write_text("text")
    (source / "sub/file").chmod(0o640)
    (source / "away").symlink_to("/etc/passwd")
    (source / "odd\udcff").write_text("")
    os.mkfifo(source / "pipe")
    tar = io.BytesIO()
    assert pack(str(source), tar) == 1
    tar.seek(0)
    assert unpack(tar, tmp_path / "to") == 0
    assert (tmp_path / "to/sub/file").stat().st_mode & 0o7777 == 0o640
    assert (tmp_path / "to/away").readlink() == Path("/etc/passwd")
    assert sorted(os.listdir(tmp_path / "to")) == sorted(["sub", "away", "odd\udcff"])
    tar.seek(0)
    unpack(tar, tmp_path / "to")
    assert (tmp_path / "to/from/sub/file").read_text() == "text"


@pytest.mark.parametrize(
    "members",
    [
        [("../out", FILE, "x")],
        [("a", FOLDER, ""), ("a/../../out", FILE, "x")],
        [(f"{'d/' * 300}f", FILE, "x")],
        [("a", FOLDER, ""), ("a/f", FILE, "x"), ("a/f/g", FILE, "y")],
        [],
    ],
)
def test_a_stream_that_leads_elsewhere_is_refused(tmp_path: Path, members: list[tuple[str, bytes, str]]) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(CarryError):
        unpack(stream(*members), tmp_path / "in")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_nothing_is_written_through_a_link_of_the_stream(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "victim").mkdir()
    with pytest.raises((CarryError, OSError)):
        unpack(stream(("a", LINK, str(tmp_path / "victim")), ("a/f", FILE, "x")), tmp_path / "in")
    assert not list((tmp_path / "victim").iterdir())


def test_a_link_that_was_there_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "in/f").symlink_to(tmp_path / "victim")
    unpack(stream(("f", FILE, "x")), tmp_path / "in")
    assert (tmp_path / "victim").read_text() == "kept" and (tmp_path / "in/f").read_text() == "x"
    assert (tmp_path / "in/f").stat().st_mode & 0o7777 == 0o755


def test_a_file_that_the_disk_cant_hold_isnt_begun(tmp_path: Path) -> None:
    header = tarfile.TarInfo("big")
    header.size = 1 << 62
    (tmp_path / "in").mkdir()
    with pytest.raises(CarryError, match="no room"):
        unpack(io.BytesIO(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 16)), tmp_path / "in")
    assert not list((tmp_path / "in").iterdir())


def test_devices_and_other_links_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    found = stream(("null", tarfile.CHRTYPE, ""), ("pipe", tarfile.FIFOTYPE, ""), ("hard", HARD, "/etc/passwd"))
    assert unpack(found, tmp_path / "in") == 3
    assert not list((tmp_path / "in").iterdir())


def test_a_cut_stream_is_told(tmp_path: Path) -> None:
    whole = stream(("f", FILE, "x" * 5000)).getvalue()
    with pytest.raises(CarryError, match="ends too soon"):
        unpack(io.BytesIO(whole[:2048]), tmp_path / "f")


HOSTILE = (
    "ln -s / /tmp/root; ln -s /etc/kept /tmp/kept; ln -s /proc/1/root /tmp/magic; ln -s ../../../../../etc /tmp/up;"
    "echo mine >/tmp/mine; sleep 60"
)


def run(toy: Toy, name: str, *command: str) -> str:
    out = os.memfd_create("out")
    null = os.open("/dev/null", os.O_RDWR)
    try:
        execute(toy.places.state, name, command, stdio=Stdio(null, out, null))
        return os.pread(out, 1 << 20, 0).decode()
    finally:
        os.close(out)
        os.close(null)


def test_links_of_an_instance_lead_into_the_instance(toy: Toy, tmp_path: Path) -> None:
    toy.start("/bin/sh", "-c", HOSTILE, wish=Wish(name="a"))
    while "mine" not in run(toy, "a", "/bin/ls", "/tmp"):
        time.sleep(0.02)
    state, out = toy.places.state, tmp_path / "out"
    out.mkdir()
    for path in ("/tmp/root/etc/kept", "/tmp/kept", "/tmp/up/kept", "/tmp/magic/etc/kept"):
        try:
            fetch(state, "a", path, out)
        except RunError:
            assert "magic" in path  # no process of the machine is in its /proc
            continue
        assert (out / "kept").read_text() == "of the image\n"
        (out / "kept").unlink()
    (tmp_path / "file").write_text("put\n")
    put(state, "a", tmp_path / "file", "/tmp/root/tmp/put")
    put(state, "a", tmp_path / "file", "/tmp/up")
    assert run(toy, "a", "/bin/cat", "/tmp/put", "/etc/file") == "put\nput\n"
    assert not Path("/tmp/put").exists() and not Path("/etc/file").exists()
    with pytest.raises(RunError, match="no folder"):
        put(state, "a", tmp_path / "file", "/none/there")


def test_what_is_put_is_the_services(toy: Toy, tmp_path: Path) -> None:
    toy.start("/bin/sleep", "60", wish=Wish(name="a"))
    (tmp_path / "file").write_text("put\n")
    (tmp_path / "file").chmod(0o600)
    put(toy.places.state, "a", tmp_path / "file", "/tmp/file")
    assert run(toy, "a", "/bin/cat", "/tmp/file") == "put\n"  # which only its owner may read
    everything = tmp_path / "all"
    fetch(toy.places.state, "a", "/", everything)
    assert (everything / "etc/kept").is_file() and not (everything / "proc").exists()


def test_a_visitor_sees_and_leaves_an_instance_as_it_was(toy: Toy) -> None:
    toy.start("/bin/sh", "-c", "echo mine >/tmp/mine; exec sleep 60", wish=Wish(name="a"))
    while "mine" not in run(toy, "a", "/bin/ls", "/tmp"):
        time.sleep(0.02)
    look = ("/bin/ls", "-lRa", "/tmp", "/etc", "/var", "/srv", "/run")
    before = run(toy, "a", *look)
    out = os.memfd_create("out")
    null = os.open("/dev/null", os.O_RDWR)
    script = "echo own >/tmp/own; cat /instance/tmp/mine; ls /instance/tmp; hostname; ps -o pid,args; exit 5"
    tools = toy.sealed("/bin/sh")
    try:
        wish = Wish(command=("/bin/sh", "-c", script))
        assert visit(toy.places, "a", tools, wish, Stdio(null, out, null)) == 5
        said = os.pread(out, 1 << 16, 0).decode()
    finally:
        os.close(out)
        os.close(null)
    assert said.startswith("mine\nmine\na\n") and "1 sleep 60" in said
    assert run(toy, "a", *look) == before
    assert "own" not in run(toy, "a", "/bin/ls", "/tmp")
    assert not list((toy.places.state / "runtime").glob("visit-*"))
