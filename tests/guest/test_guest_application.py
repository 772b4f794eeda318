"""An application in a guest is what it would be elsewhere: its words, streams, signals, exit code."""

from __future__ import annotations

import signal
import subprocess
import time

from oslet.model.boot import Boot, GuestFile, Identity, User
from oslet.run import native
from tests.guest.world import BOTH, Guest


@BOTH
def test_the_exit_code_the_streams_and_the_environment_are_the_applications_own(guest: Guest) -> None:
    done = guest.run(
        "sh", "-c", 'cat; echo "$A"; echo err >&2; exit 7', stdin=b"in\n", env={"PATH": "/bin", "A": "b c"}
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, b"in\nb c\n", b"err\n")


def test_it_is_process_1_of_its_own_as_in_a_container(guest: Guest) -> None:
    """So that a signal which it has no handler for is nothing to it."""
    shown = "echo $$; cat /proc/1/comm; kill -TERM $$; kill -9 $$; (sleep 99 &); echo still; exit 4"
    done = guest.run("sh", "-c", shown)
    assert (done.stdout, done.returncode) == (b"1\nsh\nstill\n", 4)


def test_a_death_by_signal_is_128_and_its_number(guest: Guest) -> None:
    assert guest.run("sh", "-c", "sh -c 'kill -9 $$'; exit $?").returncode == 137


def test_a_program_that_is_not_there_is_said_once_and_is_127(guest: Guest) -> None:
    done = guest.run("nosuch")
    assert (done.returncode, done.stderr) == (127, b"oslet: nosuch: No such file or directory\n")


def test_much_output_comes_whole(guest: Guest) -> None:
    done = guest.run("sh", "-c", "head -c 3000000 /dev/zero; echo done >&2")
    assert (len(done.stdout), done.stderr, done.returncode) == (3000000, b"done\n", 0)


def test_what_it_is_told_it_finds(guest: Guest) -> None:
    identity = Identity(hostname="here", address="10.9.8.7/24", clock=1_700_000_000 * 10**9)
    guest.tell("setup", Boot(identity=Identity(hostname="template", seed=b"x" * 32), env={"FROM": "setup"}))
    guest.tell(
        "start",
        Boot(
            identity=Identity(hostname=identity.hostname, clock=identity.clock),
            user=User(1000, 1001, (5, 6)),
            workdir="/srv",
            files=(
                GuestFile("/srv/a/f", b"text\n", 0o640, 1000, 1001),
                GuestFile("/etc/passwd", b"app:x:1000:1001::/:/bin/sh\n"),
            ),
        ),
    )
    shown = "hostname; id -u; id -g; id -G; cat a/f; stat -c '%a %u' a/f; echo $FROM; date +%Y; "
    shown += "grep -E 'NoNewPrivs|CapEff' /proc/self/status"
    done = guest.run("sh", "-c", shown)
    lines = done.stdout.decode().split("\n")
    assert lines[:3] == ["here", "1000", "1001"]
    assert set(lines[3].split()) == {"1001", "5", "6"}
    assert lines[4:8] == ["text", "640 1000", "setup", "2023"]
    assert [line.split()[1] for line in lines[8:10]] == ["0000000000000000", "1"]
    assert done.stderr == b""


def test_a_signal_reaches_the_application_alone(guest: Guest) -> None:
    with guest.running("sh", "-c", "trap 'echo told; exit 5' TERM; echo up; while :; do sleep 0.05; done") as shim:
        assert shim.stdout and shim.stdout.readline() == b"up\n"
        shim.send_signal(signal.SIGTERM)
        assert (shim.stdout.readline(), shim.wait(30)) == (b"told\n", 5)


def test_orphans_are_reaped_and_end_with_the_application(guest: Guest) -> None:
    done = guest.run("sh", "-c", "(sleep 0.01 & ) ; (sleep 1000 &) ; sleep 0.3; ps -o stat,comm | grep -c '^Z'")
    assert done.stdout == b"0\n"


def test_a_guest_that_ends_without_a_word_is_an_error_with_its_last_lines(guest: Guest) -> None:
    guest.write()
    words = (guest.place / "vmm").read_bytes()
    (guest.place / "initramfs").write_bytes(b"")
    (guest.place / "vmm").write_bytes(words)
    shim = [str(native.program("shim")), str(guest.place), "--", "true"]
    done = subprocess.run(shim, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, env={})
    first, *rest = done.stderr.decode().splitlines()
    assert done.returncode == 70
    assert first.startswith("oslet: the guest's kernel panicked: VFS: Unable to mount root fs")
    assert 0 < len(rest) <= 8


def test_a_reader_that_does_not_read_blocks_nobody_else(guest: Guest) -> None:
    with guest.running("sh", "-c", "while :; do head -c 65536 /dev/zero; done") as shim:
        time.sleep(0.5)  # by now its pipes are full
        assert guest.ask("exec", "echo", "still here").stdout == b"still here\n"
        assert shim.poll() is None
