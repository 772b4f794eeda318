"""Instances from the command line: quick starts, terminals, top, events, logs, cp, debug, park."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oslet.cli import quick
from oslet.run import client, wire
from oslet.testing.archive import FakeArchive
from oslet.testing.makers import Made

from ..conftest import Oslet

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.usefixtures("runtime")]

ALONE = """import sys
sys.path[:0] = [sys.argv.pop(1)]
import quick
code = quick.start(sys.argv[1:])
heavy = {"os", "socket", "signal", "json", "enum", "typing", "subprocess"} & sys.modules.keys()
sys.exit(99 if code is None else f"imported {heavy}" if heavy else code)
"""
"""``oslet run`` as it is without the whole command line behind it: 99 where that would have to go on."""


class Box(Oslet):
    """The command line, and images called ``living-box`` and, with a secret, ``living-vault``: busybox with a param."""

    def __init__(self, home: Path, place: Path, busybox: Path) -> None:
        super().__init__(home, place)
        archive = FakeArchive(place / "archive")
        archive.add("busybox", files={"/usr/bin/busybox": Made(busybox.read_bytes(), 0o755)})
        archive.release()
        source = archive.source()
        for name, param in (
            ("box", 'who = { type = "str", default = "world", max_length = 100 }'),
            ("vault", 'who = { type = "str", default = "world" }\ntoken = { type = "secret" }'),
        ):
            (place / f"{name}.toml").write_text(
                f'name = "living-{name}"\npackages = ["busybox"]\nnetwork = "none"\n'
                f'command = ["busybox", "echo", "Hello, {{who}}!"]\n[params]\n{param}\n'
                f'[source]\nmirror = "{source.mirror}"\nkeyring = "{source.keyring}"\npockets = []\n'
            )
            self("build", f"{name}.toml")

    def alone(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-IS", "-c", ALONE, str(Path(quick.__file__).parent), *words)
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, input=stdin, capture_output=True, text=True, timeout=120
        )

    def shell(self, script: str, *options: str) -> str:
        """A shell in the background; the instance's name."""
        name = f"t-{uuid.uuid4().hex[:10]}"
        self.started.append(name)
        self("run", "-d", "--name", name, *options, "living-box", "--", "busybox", "sh", "-c", script)
        return name

    @property
    def state(self) -> Path:
        return Path(self.environment["OSLET_HOME"]) / "instances"


@pytest.fixture(scope="module")
def made(home: Path, runtime: None, tmp_path_factory: pytest.TempPathFactory, busybox: Path) -> Box:
    return Box(home, tmp_path_factory.mktemp("living"), busybox)


@pytest.fixture
def box(made: Box) -> Iterator[Box]:
    yield made
    there = {instance["name"] for instance in made.json("ps", "--all")}
    for name in there.intersection(made.started):
        made("rm", "--force", name)


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestQuickStarts:
    def test_it_is_the_application(self, box: Box) -> None:
        box("run", "living-box")  # a supervisor is there
        done = box.alone("run", "living-box", "--who=you")
        assert (done.returncode, done.stdout, done.stderr) == (0, "Hello, you!\n", "")
        script = "busybox cat; echo no >&2; echo $A; exit 7"
        words = ("-e", "A=b c", "--memory", "64MiB") if os.geteuid() == 0 else ("-e", "A=b c")
        done = box.alone("run", *words, "living-box", "--", "busybox", "sh", "-c", script, stdin="in\n")
        assert (done.returncode, done.stdout, done.stderr) == (7, "in\nb c\n", "no\n")
        name = f"t-{uuid.uuid4().hex[:10]}"
        box.started.append(name)
        done = box.alone(
            "run", "-d", "--restart", "always", "--name", name, "living-box", "--", "busybox", "sleep", "60"
        )
        (seen,) = (i for i in box.json("ps") if i["name"] == name)
        assert done.stdout == f"{seen['id']}\n"
        assert not [i for i in box.json("ps", "--all") if i["image_name"] == "living-box" and i["name"] != name]

    def test_what_is_not_simple_is_for_the_whole_command_line(self, box: Box) -> None:
        box("run", "living-box")
        for words in (
            ("ps",),
            ("run",),
            ("run", "box.toml"),
            ("run", "living-bax"),
            ("run", "living-box", "--help"),
            ("run", "living-vault", "--token", "@secret"),
            ("run", "living-vault"),
            ("run", "living-box", "--who", "x" * 101),
            ("run", "living-box", "--restart", "always"),
            ("run", "-t", "living-box"),
            ("run", "-v", "./here:/there", "living-box"),
            ("run", "living-box", "--", "nowhere"),
        ):
            done = box.alone(*words)
            assert (done.returncode, done.stdout) == (99, ""), words
        with (box.folder / "out").open("w") as out:
            command = (sys.executable, "-IS", "-c", ALONE, str(Path(quick.__file__).parent), "run", "living-box")
            assert subprocess.run(command, env=box.environment, stdin=subprocess.DEVNULL, stdout=out).returncode == 99
        assert "did you mean" in box("run", "living-bax", code=6).stderr

    def test_an_end_is_known_though_the_supervisor_was_killed(self, box: Box) -> None:
        box("run", "living-box")
        script = "echo up; busybox sleep 1; exit 5"
        command = (sys.executable, "-m", "oslet", "run", "living-box", "--", "busybox", "sh", "-c", script)
        with subprocess.Popen(command, env=box.environment, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout and running.stdout.readline() == "up\n"
            reply = client.ask(box.state, wire.Ask())
            assert isinstance(reply, wire.Waiting)
            os.kill(reply.pid, signal.SIGKILL)
            assert running.wait(60) == 5
        assert not [i for i in box.json("ps", "--all") if i["image_name"] == "living-box"]

    def test_slots_are_parked(self, box: Box) -> None:
        box("park", "living-box", "2")
        (row,) = (r for r in box.json("park") if r["name"] == "living-box")
        assert row["slots"] == 2 and "living-box" in box("park").stdout
        assert box("run", "living-box").stdout == "Hello, world!\n"
        box("park", "living-box", "0")
        assert "say how many" in box("park", "living-box", code=2).stderr


class TestTerminals:
    @pytest.mark.parametrize("verb", ["run", "exec"])
    def test_a_terminal_has_a_size_a_key_for_interrupts_and_is_left_as_it_was(self, box: Box, verb: str) -> None:
        script = (
            "trap 'echo caught; exit 4' INT; while [ -z \"$size\" ]; do size=$(busybox stty size 2>/dev/null); done;"
            "echo $size; while :; do busybox sleep 0.05; done"
        )
        inside = ("busybox", "sh", "-c", script)
        words: tuple[str, ...] = ("run", "-t", "living-box", "--", *inside)
        if verb == "exec":
            words = ("exec", "-t", box.shell("exec busybox sleep 60"), *inside)
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(ours, (33, 77))
        before = termios.tcgetattr(theirs)
        with at_terminal(box, theirs, *words) as running:
            assert "33 77" in told(ours, "33 77")
            assert not termios.tcgetattr(theirs)[3] & termios.ECHO  # raw: what is typed is for the instance
            os.write(ours, b"\x03")
            assert "caught" in told(ours, "caught")
            assert running.wait(60) == 4
        assert termios.tcgetattr(theirs) == before
        os.close(ours)
        os.close(theirs)

    def test_top_draws_until_q(self, box: Box) -> None:
        name = box.shell("exec busybox sleep 60")
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(ours, (24, 160))
        before = termios.tcgetattr(theirs)
        with at_terminal(box, theirs, "top", "--delay", "0.2") as running:
            told(ours, name)
            os.write(ours, b"n")
            assert "by name" in told(ours, "by name")
            os.write(ours, b"q")
            told(ours, "\x1b[?1049l")  # the screen that was there before: xterm's ctlseqs
            assert running.wait(60) == 0
        assert termios.tcgetattr(theirs) == before
        os.close(ours)
        os.close(theirs)


@contextmanager
def at_terminal(box: Box, terminal: int, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(
        (sys.executable, "-m", "oslet", *words),
        env={**box.environment, "TERM": "xterm", "COLUMNS": "160", "LINES": "24"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def told(terminal: int, wanted: str) -> str:
    """What comes until ``wanted`` has."""
    said = ""
    deadline = time.monotonic() + 20
    while wanted not in said:
        assert time.monotonic() < deadline, said
        if select.select([terminal], [], [], 0.1)[0]:
            said += os.read(terminal, 4096).decode("utf-8", "replace")
    return said


class TestWatching:
    def test_top_and_ps_tell_of_a_busy_one_and_a_restarted_one(self, box: Box) -> None:
        busy = box.shell("while :; do :; done")
        failing = box.shell("exit 3", "--restart", "on-failure")
        until(lambda: [i for i in box.json("ps") if i["name"] == failing and i["restarts"]])
        rows = box.json("top", "--sort", "name")
        assert [row["name"] for row in rows] == sorted(row["name"] for row in rows)
        (row,) = (row for row in rows if row["name"] == busy)
        assert row["cpu"] > 1 and row["processes"] == 1 and row["memory"] > 1000
        assert busy in box("top").stdout and "RESTARTS" in box("ps").stdout

    def test_events_are_told_and_followed(self, box: Box) -> None:
        began = time.strftime("%Y-%m-%dT%H:%M:%S")
        name = box.shell("exit 3")
        lines = box("events", "--json", "--since", began).stdout.splitlines()
        seen = [(e["event"], e.get("code")) for e in map(json.loads, lines) if e["name"] == name]
        assert seen[0] == ("start", None)
        until(lambda: f"exit (3)       {name}" in box("events").stdout)
        assert name not in box("events", "--since", "2099-01-01").stdout
        assert "neither" in box("events", "--since", "soon", code=2).stderr
        command = (sys.executable, "-m", "oslet", "events", "--follow", "--since", "1h")
        with subprocess.Popen(command, env=box.environment, stdout=subprocess.PIPE, text=True) as following:
            assert following.stdout
            later = box.shell("exit 0")
            while later not in following.stdout.readline():
                pass
            following.send_signal(signal.SIGINT)
            assert following.wait(60) == 130

    def test_logs_have_times(self, box: Box) -> None:
        name = box.shell("echo early; busybox sleep 1.2; echo late; exec busybox sleep 60")
        until(lambda: "late" in box("logs", name).stdout)
        first, second = box("logs", "-t", name).stdout.splitlines()
        assert first.endswith(" early") and second.endswith(" late")
        assert box("logs", "--since", second.split()[0], name).stdout == "late\n"


class TestReachingIn:
    def test_files_are_copied_out_and_in(self, box: Box, tmp_path: Path) -> None:
        script = "busybox mkdir -p /tmp/x/y; echo f >/tmp/x/f; busybox mkfifo /tmp/x/p; exec busybox sleep 60"
        name = box.shell(script)
        until(lambda: "p" in box("exec", name, "busybox", "ls", "/tmp/x").stdout.split())
        assert "1 devices" in box("cp", f"{name}:/tmp/x", str(tmp_path)).stderr
        assert (tmp_path / "x/f").read_text() == "f\n" and (tmp_path / "x/y").is_dir()
        box("cp", str(tmp_path / "x"), f"{name}:/tmp/back")
        assert box("exec", name, "busybox", "cat", "/tmp/back/f").stdout == "f\n"
        stream = subprocess.run(
            (sys.executable, "-m", "oslet", "cp", f"{name}:/tmp/x/f", "-"), env=box.environment, capture_output=True
        ).stdout
        done = subprocess.run(
            (sys.executable, "-m", "oslet", "cp", "-", f"{name}:/tmp/y"), env=box.environment, input=stream
        )
        assert done.returncode == 0 and box("exec", name, "busybox", "cat", "/tmp/y").stdout == "f\n"
        assert "No such file" in box("cp", f"{name}:/none", str(tmp_path), code=6).stderr
        assert "INSTANCE:PATH" in box("cp", "a", "b", code=2).stderr
        assert "there is no instance" in box("cp", "nobody:/a", "b", code=6).stderr

    def test_debug_looks_and_changes_nothing(self, box: Box) -> None:
        name = box.shell("echo kept >/tmp/kept; exec busybox sleep 60")
        inside = ("exec", name, "busybox", "find", "/", "-xdev", "-type", "f", "-mmin", "-60")
        before = box(*inside).stdout
        script = "busybox cat /instance/tmp/kept; busybox ps -o pid,args; busybox hostname; exit 3"
        words = ("debug", "--image", "living-box", name, "--", "busybox", "sh", "-c", script)
        done = box(*words, code=3)
        assert "kept" in done.stdout and "1 busybox sleep 60" in done.stdout and name in done.stdout
        assert box(*inside).stdout == before
        (row,) = (row for row in box.json("top") if row["name"] == name)
        assert row["processes"] == 1
        assert "doesn't run" in done_for(box, name)

    def test_the_default_tools_trace_a_process(self, box: Box) -> None:
        name = box.shell("while :; do busybox sleep 0.1; done")
        script = "strace -f -p 1 -o /tmp/o & it=$!; busybox sleep 1; busybox kill $it; busybox head -n 3 /tmp/o"
        assert box("debug", name, "--", "busybox", "sh", "-c", script).stdout.count("\n") == 3


def done_for(box: Box, name: str) -> str:
    box("stop", "--time", "0", name)
    return box("debug", "--image", "living-box", name, "--", "busybox", "true", code=6).stderr
