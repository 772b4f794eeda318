"""What ``oslet seed`` writes, given to real guests that no shim tells anything; and what is read of a guest."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from oslet.bind import bind
from oslet.model.image import Image
from oslet.model.oslet import File, SecretFile, Start, Template
from oslet.model.param import BoolKind, ListKind, Param, PortKind, SecretKind, SizeKind, StrKind
from oslet.run import within
from oslet.workspace.seeding import Form, seed
from tests.guest.world import Guest

PARAMS = (
    Param("who", StrKind()),
    Param("port", PortKind()),
    Param("room", SizeKind()),
    Param("loud", BoolKind()),
    Param("hosts", ListKind(), []),
    Param("key", SecretKind(), ""),
)
GIVEN = {"who": 'a "b" ü $HOME', "port": "8080", "room": "64MiB", "loud": "yes", "hosts": "x, y"}
SHOWS = "echo $(hostname) $0 $SIZE; cat /etc/app.ini /run/key"
IMAGE = Image(
    name="app", arch="amd64", plan="", tree="", lock="", files=1, size=1, uid=0, gid=0, params=PARAMS,
    start=Start(command=("/bin/sh", "-c", SHOWS, "{who}"), env=(("SIZE", "{room}"), ("PATH", "/bin"))),
    rendered=(
        File("/etc/app.ini", Template("app.ini", "{{ port }} {{ loud }} {{ hosts }}\n")),
        File("/run/key", SecretFile("key")),
    ),
)  # fmt: skip


def plain(guest: Guest) -> bytes:
    """What a guest says on its console that boots with nobody beside it."""
    guest.agent = False
    guest.write()
    words = (guest.place / "vmm").read_bytes().split(b"\0")[:-1]
    env = {"PATH": os.environ["PATH"]}
    while words[0].partition(b"=")[0].isupper() or words[0].startswith(b"GLIBC_TUNABLES="):
        name, _, value = words.pop(0).partition(b"=")
        env[name.decode()] = value.decode()
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, env=env)
    return done.stdout.replace(b"\r\n", b"\n")


WAYS = [("uml", form) for form in ("cmdline", "initramfs", "disk", "nocloud")] + [("qemu", "fw-cfg")]


@pytest.mark.parametrize(("vmm", "form"), WAYS)
def test_each_form_starts_the_application_with_its_arguments(guest: Guest, form: Form) -> None:
    given = dict(GIVEN) if form == "cmdline" else {**GIVEN, "key": "hush\n"}
    data = seed(IMAGE, bind(PARAMS, given), form, hostname="g")
    if form == "cmdline":
        guest.words.append(data.decode().strip())
    elif form == "initramfs":
        guest.extra.append(data)
    elif form == "fw-cfg":
        (guest.place / "record").write_bytes(data)
        guest.words.append("qemu_fw_cfg.ioport=12@0x510:0:1:4")
        guest.options += ["-fw_cfg", f"name=opt/org.oslet/boot,file={guest.place / 'record'}"]
    else:
        guest.disk(data, read_only=True)
    said = plain(guest)
    assert 'g a "b" ü $HOME 67108864\n8080 true x,y\n'.encode() in said, said[-2000:]
    assert (b"hush\n" in said) == (form != "cmdline")
    assert b"oslet: exit 0" in said


def test_a_guest_is_described_through_its_agent(guest: Guest) -> None:
    with guest.running("sh", "-c", "echo up; exec sleep 1000"):

        def read(*paths: str) -> bytes:
            done = guest.ask("read", *paths)
            if done.returncode:
                raise FileNotFoundError(paths[0])
            return done.stdout

        way = within.Guest(read)
        found: dict[str, within.Process] = {}
        deadline = time.monotonic() + 30
        while "sleep" not in found and time.monotonic() < deadline:
            found = {process.name: process for process in within.processes(way)}
        assert list(found) == ["sleep"], "neither init nor the kernel's threads"
        assert (found["sleep"].pid, found["sleep"].command) == (1, ("sleep", "1000"))
        memory = way.memory()
        assert 0 < memory.used < memory.total < 130 << 20 and way.uptime() > 0
        assert "lo" in {each.name for each in within.interfaces(way)}
        assert within.system(way, "g").version != os.uname().release
        with pytest.raises(OSError):
            way.read("999999/stat")


def test_a_disk_that_the_guest_may_write_to_is_not_believed(guest: Guest, tmp_path: Path) -> None:
    guest.disk(seed(IMAGE, bind(PARAMS, GIVEN), "nocloud", hostname="g"))
    assert b"67108864" not in plain(guest)
