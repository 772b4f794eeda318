"""``oslet run --microvm``, through the supervisor as a person has it: what a container can, a guest can.

Under user-mode Linux; the emulated processor of QEMU has a foreground start, and clones of a parked guest.
"""

from __future__ import annotations

import json
import os
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..conftest import Oslet

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.usefixtures("runtime", "kernels")]

UML = ("--microvm", "--vmm", "uml")
QEMU = ("--microvm", "--vmm", "qemu")
KEY = "hush hush"
APP = """
import os, pathlib, signal, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

signal.signal(signal.SIGTERM, lambda *_: sys.exit(6))
count = pathlib.Path("/srv/data/count")
count.write_text(str(int(count.read_text() or 0) + 1) if count.exists() else "1")

class Answers(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/fail":
            os._exit(9)
        key = pathlib.Path("/run/secrets/key").read_text()
        said = f"start {count.read_text()}, key {key}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

print("ready", flush=True)
HTTPServer(("", 8000), Answers).serve_forever()
"""
DECLARATION = """
name = "virtual"
packages = ["python3"]
command = ["python3", "/app/app.py"]
ports = [8000]
volumes = ["/srv/data"]
health = { http = "/" }

[files]
"/app" = "./app"
"/run/secrets/key" = { secret = "key" }

[params]
key = { type = "secret" }
"""


class Served:
    """A guest that answers over HTTP, on a port of the host's."""

    def __init__(self, oslet: Oslet, folder: Path, port: int, *words: str) -> None:
        (folder / "key").write_text(KEY)
        self.oslet, self.port = oslet, port
        given = ("-p", f"127.0.0.1:{port}:8000", *UML, *words, "--key", f"@{folder / 'key'}")
        self.name = oslet.start("virtual", *given)

    def answer(self, path: str = "/", timeout: float = 60) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=timeout) as reply:
            said: bytes = reply.read()
        return said.decode()

    def inspected(self) -> Any:
        return json.loads(self.oslet("inspect", self.name, "--json").stdout)


@pytest.fixture(scope="module")
def built(home: Path, runtime: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("virtual")
    (folder / "app").mkdir()
    (folder / "app/app.py").write_text(APP)
    (folder / "virtual.toml").write_text(DECLARATION)
    Oslet(home, folder)("build", "virtual.toml")


@pytest.fixture
def serve(built: None, oslet: Oslet, tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., Served]]:
    yield lambda *words: Served(oslet, tmp_path, free_port(), *words)


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_guest_is_an_instance_as_any(serve: Callable[..., Served], oslet: Oslet, tmp_path: Path) -> None:
    guest = serve("--fresh")
    assert guest.answer() == f"start 1, key {KEY}"
    assert "ready" in oslet("logs", guest.name).stdout
    script = "import os, sys; print(os.uname().release, sys.stdin.read()); sys.exit(5)"
    release, said = oslet("exec", "-i", guest.name, "python3", "-c", script, stdin="in", code=5).stdout.split()
    assert release != os.uname().release and said == "in"
    system = guest.inspected()["running"]["system"]
    assert (system["version"], system["hostname"]) == (release, guest.name)
    used = oslet.json("stats", guest.name)[guest.name]
    assert used["memory"] > 0 and used["cpu"] > 0

    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_bytes(os.urandom(100_000))
    oslet("cp", "in", f"{guest.name}:/tmp/in")
    oslet("cp", f"{guest.name}:/tmp/in", "out")
    assert (tmp_path / "out/file").read_bytes() == (tmp_path / "in/file").read_bytes()


def test_a_volume_is_there_for_the_next_one_and_stop_tells_the_exit_code(
    serve: Callable[..., Served], oslet: Oslet
) -> None:
    volume = f"v{uuid.uuid4().hex[:8]}:/srv/data"
    for number in (1, 2):
        guest = serve("-v", volume)
        assert guest.answer() == f"start {number}, key {KEY}"
        oslet("stop", guest.name)
        assert oslet("wait", guest.name).stdout == "6\n"


def test_guests_that_would_share_a_disk_do_not_wait_together(built: None, oslet: Oslet, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    given = ("-v", f"v{uuid.uuid4().hex[:8]}:/srv/data", "virtual", "2", "--key", "@key")
    assert "its disk is one guest's at a time" in oslet("park", *UML, *given, code=6).stderr


def test_a_guest_that_fails_begins_again(serve: Callable[..., Served]) -> None:
    guest = serve("--restart", "on-failure", "--fresh")
    with pytest.raises(OSError):
        guest.answer("/fail")

    def again() -> bool:
        try:
            return guest.answer(timeout=2).endswith(KEY)
        except OSError:
            return False

    until(again)
    assert guest.inspected()["instance"]["restarts"] == 1


@pytest.fixture
def hello(oslet: Oslet) -> str:
    oslet("build", str(oslet.example("hello")))
    return "hello"


@pytest.mark.parametrize("words", [UML, QEMU], ids=["uml", "qemu"])
def test_in_the_foreground_it_is_the_application(words: tuple[str, ...], hello: str, oslet: Oslet) -> None:
    script = "busybox cat; echo no >&2; exit 7"
    done = oslet("run", *words, hello, "--", "busybox", "sh", "-c", script, stdin="in\n", code=7)
    assert (done.stdout, done.stderr.splitlines()[-1]) == ("in\n", "no")


def test_parked_guests_are_clones_and_each_is_its_own(hello: str, oslet: Oslet) -> None:
    oslet("park", *QEMU, hello, "2")
    try:
        script = (
            "busybox hostname; busybox cat /proc/sys/kernel/random/uuid; busybox head -c 9 /dev/urandom | busybox od"
        )
        said = [
            oslet("run", *QEMU, "--name", name, hello, "--", "busybox", "sh", "-c", script).stdout.splitlines()
            for name in ("clone-a", "clone-b")
        ]
    finally:
        oslet("park", *QEMU, hello, "0")
    assert [lines[0] for lines in said] == ["clone-a", "clone-b"]
    assert said[0][1] != said[1][1] and said[0][2] != said[1][2], "each has its own entropy"
