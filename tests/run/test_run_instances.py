"""Instances, end to end: each test is one small system that really runs."""

from __future__ import annotations

import os
import pty
import signal
import threading
import time
from pathlib import Path

import pytest

from oslet.errors import RunError
from oslet.model.instance import Secret
from oslet.model.oslet import Exec, File, Http, SecretFile, Template
from oslet.model.param import Param, PortKind, SecretKind
from oslet.model.tree import Entry
from oslet.run import (
    Limits,
    Wish,
    await_healthy,
    end,
    execute,
    find,
    healthy,
    inspect,
    instances,
    logs,
    remove,
    send,
    stats,
    stop,
    wait,
)  # fmt: skip
from oslet.run.ids import mapping
from oslet.run.monitor import Stdio, readable
from oslet.run.records import began
from tests.run.conftest import SERVICE, Toy

pytestmark = [pytest.mark.slow, pytest.mark.network]
WAITS = 'trap "echo bye; exit 7" TERM; echo ready; while :; do sleep 0.05; done'
SINGLE = mapping(SERVICE, SERVICE).single
needs_ids = pytest.mark.skipif(SINGLE, reason="this user has no subordinate ids")


def until_ready(toy: Toy, name: str) -> None:
    for line in logs(toy.places.state, name, follow=True):
        if line.text == b"ready\n":
            return
    raise AssertionError("it ended")


def test_what_an_instance_is_and_may(toy: Toy) -> None:
    code, out, _ = toy.run("/bin/sh", "-c", "id -u; id -g; cat /proc/self/status; echo $$", env=(("A", "b"),))
    lines = out.splitlines()
    assert (code, lines[:2], lines[-1]) == (0, [str(SERVICE)] * 2, "1")
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert {status[c] for c in ("CapPrm", "CapEff", "CapBnd", "CapAmb", "CapInh")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_only_what_an_instance_needs_is_mounted(toy: Toy) -> None:
    _, out, _ = toy.run("/bin/cat", "/proc/mounts")
    places = {line.split()[1] for line in out.splitlines()}
    assert {p for p in places if p.count("/") == 1} == {"/", "/proc", "/dev"}
    assert {p for p in places if p.startswith("/dev/")} <= {
        "/dev/shm", "/dev/pts", "/dev/console", "/dev/null", "/dev/zero", "/dev/full", "/dev/tty",
        "/dev/random", "/dev/urandom",
    }  # fmt: skip


def test_the_root_is_writable_but_only_for_the_instance(toy: Toy) -> None:
    write = "echo x > /tmp/a && cat /tmp/a && cat /etc/kept && cat /etc/hostname"
    assert toy.run("/bin/sh", "-c", write)[:2] == (0, "x\nof the image\ntoy\n")
    assert not list((toy.root / "tmp").iterdir())
    assert not (toy.root / "etc/hostname").exists()


def test_exit_code_streams_and_stdin_are_the_applications_own(toy: Toy) -> None:
    command = "cat; echo out; echo err >&2; exit 42"
    assert toy.run("/bin/sh", "-c", command, stdin=b"given\n") == (42, "given\nout\n", "err\n")


def test_the_callers_files_stay_the_callers(toy: Toy, tmp_path: Path) -> None:
    from oslet.model.instance import Arguments
    from oslet.run import run

    with (tmp_path / "out").open("wb") as file:
        stdio = Stdio(file.fileno(), file.fileno(), file.fileno())
        run(toy.sealed("/bin/echo", "x"), Arguments({}), Wish(), lambda: toy.tools, toy.places, stdio)
    assert (tmp_path / "out").stat().st_uid == os.geteuid()
    assert (tmp_path / "out").read_text() == "x\n"


def test_a_command_that_isnt_there_is_said_and_leaves_nothing(toy: Toy) -> None:
    with pytest.raises(RunError, match="/bin/nope"):
        toy.start("/bin/nope")
    assert instances(toy.places.state) == ()


def test_a_detached_life(toy: Toy) -> None:
    started = toy.start("/bin/sh", "-c", WAITS, wish=Wish(name="a"))
    state = toy.places.state
    assert (started.state, started.name) == ("running", "a")
    until_ready(toy, "a")
    assert [i.id for i in instances(state)] == [started.id]
    seen = stats(state, "a")
    assert seen.memory > 0 and seen.processes >= 1
    with pytest.raises(RunError, match="runs"):
        remove(state, "a")
    with pytest.raises(RunError, match="runs already"):
        toy.start("/bin/sh", "-c", WAITS, wish=Wish(name="a"))
    assert stop(state, "a") == 7
    assert [line.text for line in logs(state, "a")] == [b"ready\n", b"bye\n"]
    assert [line.text for line in logs(state, "a", tail=1)] == [b"bye\n"]
    ended = inspect(state, started.id[:5])
    assert (ended.state, ended.exit_code, wait(state, "a")) == ("exited", 7, 7)
    remove(state, "a")
    with pytest.raises(RunError, match="no instance"):
        find(state, "a")


def test_pid_1_that_ignores_the_signal_is_killed_after_its_grace(toy: Toy) -> None:
    toy.start("/bin/sleep", "60", wish=Wish(name="deaf"))
    with pytest.raises(RunError, match="still runs"):
        wait(toy.places.state, "deaf", timeout=0.01)
    assert stop(toy.places.state, "deaf", grace=0.05) == 137


def test_another_stop_signal(toy: Toy) -> None:
    toy.start("/bin/sh", "-c", WAITS.replace("TERM", "INT"), wish=Wish(name="int"), stop_signal="SIGINT")
    until_ready(toy, "int")
    with pytest.raises(RunError, match="no signal"):
        send(toy.places.state, "int", "SIGNONE")
    assert stop(toy.places.state, "int") == 7


def test_the_truth_is_told_when_it_is_killed(toy: Toy) -> None:
    toy.start("/bin/sleep", "60", wish=Wish(name="a"))
    folder, record = find(toy.places.state, "a")
    os.kill(record.pid, signal.SIGKILL)
    assert wait(toy.places.state, "a", timeout=10) == 137
    assert inspect(toy.places.state, "a").state == "exited"
    assert began(record.pid) is None
    remove(toy.places.state, "a")
    assert not folder.exists()


def test_signals_reach_a_foreground_instance(toy: Toy) -> None:
    def interrupt() -> None:
        for _ in range(500):
            if any(i.pid for i in instances(toy.places.state)):
                time.sleep(0.2)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=interrupt)
    thread.start()
    code, out, _ = toy.run("/bin/sh", "-c", WAITS)
    thread.join()
    assert (code, out) == (7, "ready\nbye\n")
    assert instances(toy.places.state) == ()


def test_a_terminal(toy: Toy) -> None:
    from oslet.model.instance import Arguments
    from oslet.run import run

    mine, theirs = pty.openpty()
    try:
        stdio = Stdio(theirs, theirs, theirs)
        code = run(
            toy.sealed("/bin/sh", "-c", "[ -t 0 ] && [ -t 1 ] && echo $TERM; sleep 0.3; exit 3"),
            Arguments({}), Wish(tty=True, env=(("TERM", "vt100"),)), lambda: toy.tools, toy.places, stdio,
        )  # fmt: skip
        assert code == 3 and readable(mine, 5) and os.read(mine, 100).strip() == b"vt100"
    finally:
        os.close(mine)
        os.close(theirs)


def test_exec(toy: Toy) -> None:
    toy.start("/bin/sleep", "60", wish=Wish(name="a"), env=(("ITS", "own"),))

    def inside(*command: str, **more: object) -> tuple[int, str]:
        out = os.memfd_create("out")
        null = os.open("/dev/null", os.O_RDWR)
        try:
            code = execute(toy.places.state, "a", command, stdio=Stdio(null, out, null), **more)  # type: ignore[arg-type]
            return code, os.pread(out, 1 << 16, 0).decode()
        finally:
            os.close(out)
            os.close(null)

    assert inside("/bin/sh", "-c", "id -u; echo $ITS$MORE; exit 4", env=[("MORE", "!")]) == (4, f"{SERVICE}\nown!\n")
    assert inside("/bin/sh", "-c", "cat /proc/1/cmdline")[1].startswith("/bin/sleep")
    status = inside("/bin/cat", "/proc/self/status")[1]
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status and "CapEff:\t0000000000000000" in status
    with pytest.raises(RunError, match="can't be run"):
        inside("/bin/nope")
    stop(toy.places.state, "a", grace=0)
    with pytest.raises(RunError, match="doesn't run"):
        inside("/bin/id")


SECRET = File("/var/run/secrets/token", SecretFile("token"))


def test_templates_and_secrets_are_the_instances_own(toy: Toy) -> None:
    conf = File("/etc/toy/toy.conf", Template("toy.conf", text="listen {{ port }}\n", mode=0o640))
    toy.start(
        "/bin/sh", "-c", "cat /etc/toy/toy.conf /run/secrets/token; stat -c %a:%u /run/secrets/token; sleep 60",
        wish=Wish(name="a"), arguments={"port": 8080, "token": Secret("hushhush")}, rendered=(conf, SECRET),
        params=(Param("port", PortKind()), Param("token", SecretKind())),
    )  # fmt: skip
    state = toy.places.state
    folder, record = find(state, "a")
    for _ in range(100):
        text = b"".join(line.text for line in logs(state, "a")).decode()
        if text.count("\n") > 1:
            break
        time.sleep(0.02)
    assert text == f"listen 8080\nhushhush400:{SERVICE}\n"
    seen = [p for p in state.rglob("*") if p.is_file() and p != folder / "stdout.log" and b"hushhush" in p.read_bytes()]
    assert seen == []
    for pid in (record.pid,):
        assert b"hushhush" not in Path(f"/proc/{pid}/cmdline").read_bytes()


@needs_ids
def test_owners_are_right_inside(toy: Toy) -> None:
    (toy.root / "srv/own").write_text("own\n")
    more = (
        Entry("/srv/own", "file", 0o600, uid=33, gid=34),
        Entry("/srv/mine", "dir", 0o700, uid=SERVICE, gid=SERVICE),
    )
    show = "stat -c %u:%g:%a /srv/own /srv/mine /bin/busybox /tmp; touch /srv/mine/x && cat /srv/own"
    code, out, err = toy.run("/bin/sh", "-c", show, more=more)
    assert out.split() == ["33:34:600", f"{SERVICE}:{SERVICE}:700", "0:0:755", "0:0:1777"]
    assert code == 1 and "Permission denied" in err


def test_a_volume_is_filled_once_kept_and_writable(toy: Toy) -> None:
    write = "cat /var/lib/toy/*; echo second > /var/lib/toy/second; rm /var/lib/toy/first"
    volumes = ("/var/lib/toy",)
    assert toy.run("/bin/sh", "-c", write, wish=Wish(name="a"), volumes=volumes)[:2] == (0, "first\n")
    again = toy.run("/bin/sh", "-c", "cat /var/lib/toy/*", wish=Wish(name="a"), volumes=volumes)
    assert again[1] == "second\n"
    assert toy.run("/bin/sh", "-c", "cat /var/lib/toy/*", wish=Wish(name="b"), volumes=volumes)[1] == "first\n"


def test_a_given_folder(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "given: a,b").mkdir(mode=0o755)
    (tmp_path / "given: a,b/x").write_text("hers\n")
    wish = Wish(volumes={"/data": str(tmp_path / "given: a,b")})
    assert toy.run("/bin/cat", "/data/x", wish=wish)[:2] == (0, "hers\n")
    with pytest.raises(RunError, match="no folder"):
        toy.run("/bin/true", wish=Wish(volumes={"/data": str(tmp_path / "none")}))


@pytest.mark.parametrize("call", ["mount -t tmpfs x /tmp", "unshare -U true", "chroot / true", "mknod /tmp/x c 1 3"])
def test_what_is_refused(toy: Toy, call: str) -> None:
    assert toy.run("/bin/busybox", *call.split(), uid=0 if not SINGLE else SERVICE)[0] != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's cgroups are systemd's to give")
def test_limits_are_kept_and_leave_no_cgroup(toy: Toy) -> None:
    many = "i=0; while [ $i -lt 30 ]; do sleep 1 & i=$((i+1)); done; wait"
    before = {p for p in Path("/sys/fs/cgroup").rglob("oslet/*") if p.is_dir()}
    code, _, err = toy.run("/bin/sh", "-c", many, wish=Wish(limits=Limits(pids=12, memory=64 << 20, cpus=0.5)))
    assert code != 0 and "fork" in err
    end(toy.places.state)
    assert {p for p in Path("/sys/fs/cgroup").rglob("oslet/*") if p.is_dir()} <= before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_limits_that_cant_be_kept_are_refused(toy: Toy) -> None:
    try:
        toy.run("/bin/true", wish=Wish(limits=Limits(memory=64 << 20)))
    except RunError as error:
        assert "memory limit" in str(error) and error.hint
    assert instances(toy.places.state) == ()


def test_a_private_network_and_its_ports(toy: Toy, free_port: int) -> None:
    serve = "mkdir /tmp/w; echo hello > /tmp/w/index.html; exec httpd -f -p 80 -h /tmp/w"
    wish = Wish(name="web", publish=(f"{free_port}:80",))
    toy.start("/bin/sh", "-c", serve, wish=wish, network="private", ports=("80",), health=Http("/"))
    await_healthy(toy.places.state, "web")
    with pytest.raises(RunError, match="taken by the instance 'web'"):
        toy.start("/bin/sh", "-c", serve, wish=wish._replace(name="b"), network="private", ports=("80",))
    stop(toy.places.state, "web", grace=0)
    assert not healthy(toy.places.state, "web")


def test_the_machines_network(toy: Toy, free_port: int) -> None:
    serve = f"exec httpd -f -p 127.0.0.1:{free_port} -h /etc"
    ports = (str(free_port),)
    toy.start("/bin/sh", "-c", serve, wish=Wish(name="h"), network="host", ports=ports, health=Http("/kept"))
    await_healthy(toy.places.state, "h")
    assert healthy(toy.places.state, "h", Exec(("/bin/cat", "/etc/kept")))
    assert not healthy(toy.places.state, "h", Exec(("/bin/cat", "/nowhere")))
    stop(toy.places.state, "h", grace=0)


def test_nothing_is_left(toy: Toy) -> None:
    def mounts() -> list[str]:
        return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "oslet" in line]

    before = mounts()
    toy.start("/bin/sh", "-c", WAITS, wish=Wish(name="a"))
    _, record = find(toy.places.state, "a")
    assert mounts() == before
    remove(toy.places.state, "a", force=True)
    assert mounts() == before
    end(toy.places.state)
    assert not [p for p in (toy.places.state / "runtime").iterdir() if p.name != ".cache"]
    assert not (toy.places.state / "socket").exists()
    assert began(record.pid) is None
