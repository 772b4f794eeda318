"""A held guest waits, booted, until its shim hears what to become, as a stub does."""

from __future__ import annotations

import array
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from oslet.model.boot import Boot, Identity
from oslet.run import native
from tests.guest.world import BOTH, Guest


@contextmanager
def held(guest: Guest) -> Iterator[tuple[subprocess.Popen[bytes], socket.socket]]:
    """The shim of a guest that waits, and the socket that it listens to as descriptor 3."""
    guest.write()
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    launch = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.execv(sys.argv[2], sys.argv[2:])"
    words = [str(theirs.fileno()), str(native.program("shim")), str(guest.place)]
    command = [sys.executable, "-I", "-S", "-c", launch, *words]
    shim = subprocess.Popen(command, pass_fds=[theirs.fileno()], env={})
    theirs.close()
    try:
        assert ours.recv(1) == b"w"
        yield shim, ours
    finally:
        shim.kill()
        shim.wait(30)
        ours.close()


def told(*argv: str, env: dict[str, str]) -> bytes:
    words = ["/", *argv, *(f"{name}={value}" for name, value in env.items())]
    text = b"".join(os.fsencode(word) + b"\0" for word in words)
    return b"OSL1" + struct.pack("<4I", len(text), len(argv), len(env), 0) + text


def become(control: socket.socket, message: bytes) -> tuple[int, bytes]:
    """Tells it, with a pipe as its output: the pipe, and what came back at the socket's end."""
    null, (reading, writing) = os.open(os.devnull, os.O_RDWR), os.pipe()
    fds = array.array("i", [null, writing, writing])
    control.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    os.close(null)
    os.close(writing)
    said = b""
    while more := control.recv(16):
        said += more
    return reading, said


@BOTH
def test_a_held_guest_becomes_what_it_is_told(guest: Guest) -> None:
    guest.tell("setup", Boot(identity=Identity(hostname="template")))
    with held(guest) as (shim, control):
        guest.tell("start", Boot(identity=Identity(hostname="clone", seed=os.urandom(32))))
        reading, said = become(control, told("sh", "-c", "hostname; echo $A; exit 9", env={"PATH": "/bin", "A": "b"}))
        with os.fdopen(reading, "rb") as out:
            assert (said, out.read(), shim.wait(30)) == (b"", b"clone\nb\n", 9)


def test_a_held_guest_says_what_cannot_be_run(guest: Guest) -> None:
    with held(guest) as (shim, control):
        reading, said = become(control, told("nosuch", env={"PATH": "/bin"}))
        os.close(reading)
        assert (said, shim.wait(30)) == (struct.pack("<I", 2), 127)
