"""Each transport carries each kind of param: as arguments, variables and files of the application."""

from __future__ import annotations

import io
import subprocess
from typing import NamedTuple

import pytest

from oslet.errors import DeclarationError
from oslet.formats import boot
from oslet.model.boot import Boot, GuestFile
from tests.guest.world import USUAL, Entry, Guest, cpio

VALUES = {
    "str": "two words, 'quotes' and ü", "int": "-7", "float": "0.25", "bool": "true", "enum": "fast", "port": "8080",
    "size": "67108864", "duration": "90.5", "url": "https://u@example.org:1/a?b=c&d=%20#e", "path": "/var/lib/x y",
    "address": "[::1]:53", "list": "a,b c,d",
}  # fmt: skip
"""A value of each kind, as its text."""
SECRET = "top\nsecret"
SHOWN = """
for word; do echo "$word"; done; env | grep ^P_ | sort; cat /etc/app.ini
test ! -e /run/secrets/t || cat /run/secrets/t
"""
TOLD = Boot(
    argv=("sh", "-c", SHOWN, "sh", *VALUES.values()),
    env={"PATH": "/bin", **{f"P_{kind}": value for kind, value in VALUES.items()}},
    files=(GuestFile("/etc/app.ini", b"port = 8080\n"),),
)
HIDDEN = GuestFile("/run/secrets/t", SECRET.encode() + b"\n", 0o400, secret=True)
WHOLE = Boot(argv=TOLD.argv, env=TOLD.env, files=(*TOLD.files, HIDDEN))
TRANSPORTS = ("initramfs", "fw_cfg", "cmdline", "disk", "nocloud", "nocloud-base64", "agent")


class Seen(NamedTuple):
    lines: list[str]
    code: int


def nocloud(user_data: bytes) -> bytes:
    """A cidata disk, as cloud-init's NoCloud has it."""
    import pycdlib

    iso, out = pycdlib.PyCdlib(), io.BytesIO()
    iso.new(vol_ident="cidata", joliet=3, rock_ridge="1.09")
    for name, short, data in (("meta-data", "META_DAT.;1", b"{}"), ("user-data", "USER_DAT.;1", user_data)):
        iso.add_fp(io.BytesIO(data), len(data), f"/{short}", rr_name=name, joliet_path=f"/{name}")
    iso.write_fp(out)
    iso.close()
    return out.getvalue()


def send(guest: Guest, transport: str, told: Boot) -> Seen:
    """What the application shows of what it was told in that way."""
    record = boot.encode(told)
    if transport == "agent":
        guest.tell("start", Boot(env=told.env, files=told.files))
        done = guest.run(*told.argv)
        return Seen(done.stdout.decode().splitlines(), done.returncode)
    guest.agent = False
    if transport == "initramfs":
        guest.extra.append(cpio(Entry(".oslet", 0o40755), Entry(".oslet/boot", 0o100600, record)))
    elif transport == "fw_cfg":
        (guest.place / "record").write_bytes(record)
        guest.words.append("qemu_fw_cfg.ioport=12@0x510:0:1:4")
        guest.options += ["-fw_cfg", f"name=opt/org.oslet/boot,file={guest.place / 'record'}"]
    elif transport == "cmdline":
        guest.words.append(f"oslet.boot={boot.command_line(told)}")
    elif transport == "disk":
        guest.disk(record, read_only=True)
    else:
        guest.disk(nocloud(boot.text(record).encode() if "base64" in transport else record), read_only=True)
    return alone(guest)


def alone(guest: Guest) -> Seen:
    """The guest without a shim: its console's lines, and what it says of the exit code."""
    guest.write()
    words = [word.decode() for word in (guest.place / "vmm").read_bytes().split(b"\0")[:-1]]
    env = dict([words.pop(0).split("=", 1)]) if "=" in words[0] else {}
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=env, timeout=60)
    lines = [line.strip() for line in done.stdout.decode("utf-8", "replace").splitlines()]
    said = [line.removeprefix("oslet: exit ") for line in lines if line.startswith("oslet: exit ")]
    return Seen(lines, int(said[-1]) if said else -1)


WAYS = [(vmm, way) for vmm in USUAL for way in TRANSPORTS if (vmm, way) != ("uml", "fw_cfg")]
WAYS += [way for way in (("qemu", "fw_cfg"), ("qemu", "disk")) if way not in WAYS]


@pytest.mark.parametrize(("vmm", "transport"), WAYS)
def test_a_transport_carries_each_kind_of_param(guest: Guest, transport: str) -> None:
    seen = send(guest, transport, TOLD if transport == "cmdline" else WHOLE)
    variables = sorted(f"P_{kind}={value}" for kind, value in VALUES.items())
    expected = [*VALUES.values(), *variables, "port = 8080"]
    if transport != "cmdline":
        expected += SECRET.splitlines()
    begin = seen.lines.index(expected[0])
    shown = seen.lines[begin : begin + len(expected)]
    assert sorted(shown) == sorted(expected)
    assert seen.code == 0


def test_the_command_line_refuses_secrets() -> None:
    with pytest.raises(DeclarationError, match="no place for secrets"):
        boot.command_line(WHOLE)


def test_a_later_transport_wins_and_files_add_up(guest: Guest) -> None:
    shown = ("sh", "-c", "echo $A $B; cat /etc/1 /etc/2")
    first = Boot(argv=shown, env={"PATH": "/bin", "A": "1", "B": "1"}, files=(GuestFile("/etc/1", b"one\n"),))
    second = Boot(env={"B": "2"}, files=(GuestFile("/etc/2", b"two\n"),))
    guest.extra.append(cpio(Entry(".oslet", 0o40755), Entry(".oslet/boot", 0o100600, boot.encode(first))))
    guest.words.append(f"oslet.boot={boot.command_line(second)}")
    guest.agent = False
    lines = alone(guest).lines
    assert lines[lines.index("1 2") :][:3] == ["1 2", "one", "two"]


def test_a_disk_that_the_guest_may_write_to_tells_it_nothing(guest: Guest) -> None:
    guest.disk(boot.encode(TOLD))
    guest.agent = False
    seen = alone(guest)
    assert ("oslet: there is no command to run" in seen.lines, seen.code) == (True, 125)


def test_a_spoilt_record_is_an_error_that_names_its_transport(guest: Guest) -> None:
    record = bytearray(boot.encode(TOLD))
    record[-1] ^= 1
    guest.extra.append(cpio(Entry(".oslet", 0o40755), Entry(".oslet/boot", 0o100600, bytes(record))))
    guest.agent = False
    seen = alone(guest)
    assert ("oslet: initramfs: a boot record whose checksum is wrong" in seen.lines, seen.code) == (True, 125)
