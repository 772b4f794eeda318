"""More commands in a running guest, and its files to and fro."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import tarfile
import termios
from pathlib import Path

from oslet.formats import boot
from oslet.model.boot import Boot, GuestFile, Identity, User
from oslet.run import carrying, native
from tests.guest.world import BOTH, Guest

WAIT = ("sh", "-c", "echo up; exec sleep 1000")


@BOTH
def test_a_command_has_its_own_words_user_folder_and_exit_code(guest: Guest) -> None:
    guest.tell("start", Boot(user=User(7, 8), workdir="/etc"))
    with guest.running(*WAIT):
        script = "cat; id -u; id -g; pwd; echo $X; exit 3"
        words = ("-u", "5:6", "-w", "/bin", "--", "sh", "-c", script)
        done = guest.ask("exec", *words, stdin=b"hi\n", env={"PATH": "/bin", "X": "y"})
        assert (done.returncode, done.stdout) == (3, b"hi\n5\n6\n/bin\ny\n")
        done = guest.ask("exec", "sh", "-c", "id -u; pwd; echo e >&2")  # as the application is, where nothing is said
        assert (done.stdout, done.stderr) == (b"7\n/etc\n", b"e\n")
        assert guest.ask("exec", "nosuch").returncode == 127
        seen = "until grep sleep /proc/1/comm; do sleep 0.05; done; [ $$ -gt 1 ] && echo $PPID"
        assert guest.ask("exec", "sh", "-c", seen).stdout == b"sleep\n0\n"


def test_many_commands_at_once(guest: Guest) -> None:
    with guest.running(*WAIT):
        shim = str(native.program("shim"))
        command = [shim, "exec", str(guest.place / "agent"), "sh", "-c", "head -c 200000 /dev/zero; cat"]
        asked = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PATH": "/bin"})
            for _ in range(6)
        ]
        for number, each in enumerate(asked):
            out, _ = each.communicate(b"%d" % number, timeout=60)
            assert out == bytes(200000) + b"%d" % number


def test_a_command_whose_asker_goes_away_is_ended(guest: Guest) -> None:
    with guest.running(*WAIT):
        command = [
            str(native.program("shim")),
            "exec",
            str(guest.place / "agent"),
            "sh",
            "-c",
            "echo on; exec sleep 777",
        ]
        asked = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={"PATH": "/bin"})
        assert asked.stdout and asked.stdout.readline() == b"on\n"
        asked.kill()
        asked.communicate()
        shown = guest.ask(
            "exec",
            "sh",
            "-c",
            "for n in 1 2 3 4 5 6 7 8 9; do ps -o args | grep -q '[7]77' || break; sleep 0.2; done; echo $n",
        )
        assert int(shown.stdout) < 9


def test_a_terminal_is_one_and_has_the_size_of_ours(guest: Guest) -> None:
    with guest.running(*WAIT):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 33, 77, 0, 0))
        command = [
            str(native.program("shim")),
            "exec",
            str(guest.place / "agent"),
            "-t",
            "--",
            "sh",
            "-c",
            "stty size; test -t 1 && read x && echo got $x",
        ]
        asked = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env={"PATH": "/bin"})
        os.close(theirs)
        os.write(ours, b"word\r")
        shown = b""
        while b"got word" not in shown:
            shown += os.read(ours, 1000)
        assert shown.startswith(b"33 77\r\n") or b"33 77\r\n" in shown
        assert asked.wait(30) == 0
        os.close(ours)


def test_files_come_out_as_they_are(guest: Guest, tmp_path: Path) -> None:
    long = "n" * 200
    files = (
        GuestFile("/srv/x/a", b"A" * 1000, 0o640),
        GuestFile(f"/srv/x/{long}/b", b"B"),
        GuestFile("/srv/x/ü", b"", 0o600),
    )
    guest.tell("start", Boot(files=files))
    with guest.running(*WAIT):
        assert guest.ask("exec", "sh", "-c", "cd /srv/x; /bin/busybox ln -s a l; /bin/busybox mkfifo p").returncode == 0
        done = guest.ask("pack", "/srv/x")
        assert (done.returncode, done.stderr) == (0, b"1 devices, sockets and pipes were left out\n")
        assert carrying.unpack(io.BytesIO(done.stdout), tmp_path) == 0
        at = tmp_path / "x"
        assert (at / "a").read_bytes() == b"A" * 1000
        assert (at / "a").stat().st_mode & 0o777 == 0o640
        assert (at / long / "b").read_bytes() == b"B"
        assert (at / "ü").read_bytes() == b""
        assert os.readlink(at / "l") == "a"
        assert guest.ask("pack", "/nowhere").stderr == b"/nowhere: No such file or directory\n"


def test_files_go_in_and_lead_nowhere_else(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "d" / ("long" * 40)).mkdir(parents=True)
    (tmp_path / "d" / ("long" * 40) / "f").write_bytes(b"data" * 50000)
    (tmp_path / "d" / "run").write_bytes(b"#!/bin/sh\necho ran\n")
    (tmp_path / "d" / "run").chmod(0o755)
    stream = io.BytesIO()
    carrying.pack(str(tmp_path / "d"), stream)
    with guest.running(*WAIT):
        done = guest.ask("unpack", "-u", "3:4", "/etc", stdin=stream.getvalue())
        assert (done.returncode, done.stderr) == (0, b"")
        assert (
            guest.ask("exec", "sh", "-c", "/etc/d/run; stat -c %u:%g /etc/d/run; cat /etc/d/long*/f | wc -c").stdout
            == b"ran\n3:4\n200000\n"
        )
        assert guest.ask("unpack", "/etc/other", stdin=stream.getvalue()).returncode == 0
        assert guest.ask("exec", "/etc/other/run").stdout == b"ran\n"
        guest.ask("exec", "sh", "-c", "/bin/busybox ln -s /bin /etc/d/link")
        for name in ("../out", "/out", "a/../../out", "d/link/out"):
            evil = io.BytesIO()
            with tarfile.open(fileobj=evil, mode="w") as tar:
                member = tarfile.TarInfo(name)
                tar.addfile(member)
            assert guest.ask("unpack", "/etc", stdin=evil.getvalue()).returncode == 1, name
        assert guest.ask("exec", "ls", "/out", "/bin/out").stdout == b""
        assert guest.ask("unpack", "/etc", stdin=b"no tar at all").returncode == 1


def test_files_can_be_read_and_folders_listed(guest: Guest) -> None:
    with guest.running(*WAIT):
        assert guest.ask("read", "/proc/meminfo").stdout.startswith(b"MemTotal:")
        assert b"1\n" in guest.ask("read", "/proc").stdout
        assert guest.ask("read", "/proc/sys/kernel/overflowuid", "/proc/sys/kernel/ostype").stdout == b"65534\nLinux\n"
        assert guest.ask("read", "/nowhere").returncode == 1


def test_a_new_identity_and_a_restart_by_record(guest: Guest, tmp_path: Path) -> None:
    record = tmp_path / "record"
    with guest.running("sh", "-c", "hostname; echo $AGAIN; exec sleep 1000") as shim:
        assert shim.stdout
        assert shim.stdout.readline() + shim.stdout.readline() == b"(none)\n\n"
        record.write_bytes(boot.encode(Boot(identity=Identity(hostname="other", seed=os.urandom(32)))))
        assert guest.ask("apply", str(record)).returncode == 0
        assert guest.ask("exec", "hostname").stdout == b"other\n"
        record.write_bytes(boot.encode(Boot(env={"AGAIN": "yes"})))
        assert guest.ask("restart", str(record)).returncode == 0
        assert shim.stdout.readline() + shim.stdout.readline() == b"other\nyes\n"
        assert shim.poll() is None
