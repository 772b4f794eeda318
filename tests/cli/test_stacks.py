"""Stacks as a person brings them up and down: real instances of a made system, from TOML and from a Compose file.

On the machine's own network, which needs nothing of it, with ports that were free a moment ago.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from oslet.model.source import Debian
from oslet.testing.archive import FakeArchive
from oslet.testing.makers import Made

from ..conftest import Oslet
from ..oci.foreign import file, folder, layer, layout, link

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.usefixtures("runtime")]

BOX = """
name = "stack-box"
packages = ["busybox"]
command = ["busybox", "sh", "-c", "echo listening; exec busybox httpd -f -p 127.0.0.1:{port} -h /srv"]
ports = ["{port}"]
url = "http://{host}:{port}/"
volumes = ["/srv"]
stop_signal = "SIGKILL"

[files]
"/srv/page" = { text = "kept\\n" }
"/run/secrets/token" = { secret = "token" }

[params]
port = { type = "port" }
token = { type = "secret" }

[health]
http = "/page"
"""
ASK = """
packages = ["busybox"]
command = ["busybox", "wget", "-q", "-O", "-", "{of}page"]

[members.ask.declare.params]
of = { type = "url" }
"""


class Town(Oslet):
    """The command line, a made archive with busybox in it, and a stack called ``town``."""

    def __init__(self, home: Path, place: Path, source: Debian, port: int) -> None:
        super().__init__(home, place)
        self.port = port
        self.name = f"town{port}"  # whoever shares the home has others
        self.source = f'mirror = "{source.mirror}"\nkeyring = "{source.keyring}"\npockets = []\n'
        (place / "box.toml").write_text(f"{BOX}\n[source]\n{self.source}")
        (place / "token").write_text("s3cret\n")

    def write(self, *, web: str = "", more: str = "") -> None:
        (self.folder / "stack.toml").write_text(
            f'name = "{self.name}"\nnetwork = "host"\n[members.web]\ntarget = "./box.toml"\n'
            f'arguments = {{ port = {self.port}, token = "@token" }}\n{web}\n'
            f'[members.ask]\narguments = {{ of = "{{web.url}}" }}\n[members.ask.declare]{ASK}'
            f"[members.ask.declare.source]\n{self.source}\n{more}"
        )

    def states(self) -> dict[str, str]:
        return {each["name"]: each["state"] for each in self.json("ps", "--all", "--group", self.name)}

    def page(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/page", timeout=10) as answer:
            return str(answer.read().decode())

    def moves(self) -> dict[str, tuple[str, str]]:
        return {move["member"]: (move["what"], move["why"]) for move in self.json("up", "--plan")}


LAST = """
[members.last]
target = "./box.toml"
arguments = { port = %d, token = "env:TOKEN" }
command = ["busybox", "sleep", "1000"]
after = { ask = "done" }
wait = false
"""


@pytest.fixture(scope="module")
def source(busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> Debian:
    archive = FakeArchive(tmp_path_factory.mktemp("archive"))
    archive.add("busybox", files={"/usr/bin/busybox": Made(busybox.read_bytes(), 0o755)})
    archive.release()
    return archive.source()


@pytest.fixture
def town(home: Path, tmp_path: Path, source: Debian, free_port: Callable[[], int]) -> Iterator[Town]:
    found = Town(home, tmp_path, source, free_port())
    yield found
    subprocess.run(
        (sys.executable, "-m", "oslet", "down", found.name, "--volumes", "-t", "0"),
        env=found.environment, cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert not found.states()


def test_a_stack_comes_up_stays_changes_and_goes(town: Town, free_port: Callable[[], int]) -> None:
    town.environment["TOKEN"] = "t0ken"
    town.write(more=LAST % free_port())
    assert town.moves() == dict.fromkeys(("web", "ask", "last"), ("start", "not there yet"))
    assert town.states() == {}
    came = town.json("up")
    assert [(each["member"], each["state"]) for each in came] == [
        ("web", "healthy"),
        ("ask", "done"),
        ("last", "running"),
    ]
    assert came[0]["url"] == f"http://127.0.0.1:{town.port}/"
    assert town.states() == {
        f"{town.name}.web": "running",
        f"{town.name}.ask": "exited",
        f"{town.name}.last": "running",
    }
    assert town("logs", town.name).stdout == "web  | listening\nask  | kept\n"
    assert records(town) and not [path for path in records(town) if "s3cret" in path.read_text()]

    ids = {each["instance"]["id"] for each in came}
    assert set(town.moves().values()) == {("keep", "unchanged"), ("keep", "unchanged, and done")}
    assert {each["instance"]["id"] for each in town.json("up")} == ids

    (town.folder / "token").write_text("another\n")
    town.write()
    assert town.moves() == {
        "last": ("stop", "no longer in the stack"),
        "web": ("replace", "changed: arguments"),
        "ask": ("start", "ended (0)"),
    }
    shown = town("up").stdout
    assert [line.split()[:3] for line in shown.splitlines()[1:2]] == [["web", f"{town.name}.web", "healthy"]]
    assert set(town.states()) == {f"{town.name}.web", f"{town.name}.ask"}

    town("exec", f"{town.name}.web", "busybox", "sh", "-c", "echo changed > /srv/page")
    assert town("down", "-t", "0").stdout == "ask\nweb\n"
    assert town.states() == {} and f"{town.name}.web" in town("volumes").stdout.split()
    town("up")
    assert town.page() == "changed\n"
    assert town("down", town.name, "--volumes", "-t", "0").stdout.split() == [
        "ask",
        "web",
        f"{town.name}.last",
        f"{town.name}.web",
    ]
    assert "nothing runs" in town("down", code=6).stderr
    for name in ("*", "../town", "Town"):
        assert "is no stack's name" in town("down", name, "--volumes", code=6).stderr


def records(town: Town) -> list[Path]:
    instances = Path(town.environment["OSLET_HOME"]) / "instances/instances"
    return [path for each in instances.iterdir() for path in each.glob("record.json")]


def test_when_one_fails_what_was_started_is_stopped(town: Town, free_port: Callable[[], int]) -> None:
    town.write(more=f'[members.bad]\ntarget = "./box.toml"\narguments = {{ port = {free_port()}, token = "@token" }}\n'
                    'command = ["busybox", "sh", "-c", "echo it broke; exit 3"]\nafter = ["web"]\n')  # fmt: skip
    said = town("up", code=6).stderr
    assert f"{town.name}.bad ended before it was healthy" in said and "it broke" in said
    assert set(town.states().values()) == {"exited"}
    assert "bad | it broke" in town("logs", town.name).stdout
    town("up", "--keep", code=6)
    assert (town.states()[f"{town.name}.web"], town.page()) == ("running", "kept\n")


def test_a_member_that_has_to_end_well_and_does_not(town: Town) -> None:
    town.write(web='command = ["busybox", "false"]\nafter = { job = "done" }',
               more='[members.job.declare]\npackages = ["busybox"]\n'
                    'command = ["busybox", "sh", "-c", "echo no; exit 4"]\n'
                    f"network = 'host'\n[members.job.declare.source]\n{town.source}")  # fmt: skip
    said = town("up", code=6).stderr
    assert f"{town.name}.job ended with exit code 4, and others need it done" in said and "no" in said
    assert set(town.states()) == {f"{town.name}.job"}


def test_faults_of_arguments_are_told_where_they_stand(town: Town) -> None:
    town.write(more='[members.x]\ntarget = "./box.toml"\narguments = { port = "http", token = "inline" }\n')
    said = town("up", code=2).stderr
    assert "stack.toml" in said and "members.x.arguments.token: a secret doesn't belong in a file" in said
    town.write(more='[members.x]\ntarget = "./box.toml"\narguments = { port = "http", token = "@gone" }\n')
    assert "members.x.arguments.token: can't read the secret's file: No such file" in town("up", code=2).stderr
    town.write(more='[members.x]\ntarget = "./box.toml"\narguments = { prt = 1, token = "@token" }\n')
    said = town("up", code=2).stderr
    assert "members.x.arguments.port: needs a value" in said and "did you mean 'port'?" in said


def test_attached_until_interrupted(town: Town) -> None:
    town.write()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs in the background is born with it ignored
    with subprocess.Popen(
        (sys.executable, "-m", "oslet", "up", "--attach"),
        cwd=town.folder, env=town.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as attached:  # fmt: skip
        assert attached.stdout and attached.stderr
        seen = [""]
        while not seen[-1].startswith("web | listening"):
            seen.append(next(attached.stdout, "") or pytest.fail(f"{seen}\n{attached.stderr.read()}"))
        attached.send_signal(signal.SIGINT)
        said = attached.stderr.read()
    assert attached.returncode == 0 and f"bringing {town.name} down" in said, said
    assert town.states() == {}


def test_a_compose_file_on_images_that_another_tool_made(
    town: Town, busybox: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    box = layer(folder("bin"), file("bin/busybox", busybox.read_bytes(), 0o755), link("bin/sh", "busybox"),
                folder("etc"), file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
                folder("srv"), file("srv/page", "from the image\n"), folder("tmp", 0o1777))  # fmt: skip
    layout(town.folder / "images", box, execution={"Entrypoint": ["/bin/busybox"], "Cmd": ["httpd", "-h"]}, tag="box")
    (town.folder / "pw.txt").write_text("hunter2\n")
    (town.folder / "compose.yaml").write_text(f"""\
name: {town.name}
services:
  web:
    image: ./images#box
    command: httpd -f -p 127.0.0.1:{port} -h /srv
    network_mode: host
    expose: [{port}]
    hostname: elsewhere
    stop_signal: SIGKILL
    secrets: [pw]
    healthcheck:
      test: [CMD, /bin/busybox, wget, -q, -O, /dev/null, "http://127.0.0.1:{port}/page"]
      interval: 1s
  ask:
    image: ./images#box
    entrypoint: [/bin/sh, -c]
    command: ['busybox wget -q -O - "http://127.0.0.1:{port}/page"; echo "$$GREETING"']
    network_mode: host
    environment: {{GREETING: "${{WHO:-nobody}} {{says}} hello"}}
    depends_on: {{web: {{condition: service_healthy}}}}
secrets: {{pw: {{file: ./pw.txt}}}}
""")
    refused = town("up", "--strict", code=2).stderr
    assert "hostname: not taken over" in refused and "healthcheck: not taken over: interval" in refused
    town.environment["WHO"] = "somebody"
    done = town("up", "--json")
    assert "hostname: not taken over" in done.stderr
    assert town.states().keys() == {f"{town.name}.web", f"{town.name}.ask"}
    town("wait", f"{town.name}.ask")
    assert town("logs", f"{town.name}.ask").stdout == "from the image\nsomebody {says} hello\n"
    assert town("exec", f"{town.name}.web", "busybox", "cat", "/run/secrets/pw").stdout == "hunter2"

    (town.folder / "stack.toml").write_text(town("convert", "compose.yaml").stdout)
    marks: Any = {move["member"]: move["what"] for move in town.json("up", "stack.toml", "--plan")}
    assert marks == {"web": "keep", "ask": "start"}  # what convert writes is what up does
    assert town("down", "compose.yaml", "-t", "0").stdout == "ask\nweb\n"
