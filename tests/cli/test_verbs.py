"""The verbs as a person types them: what they print, what they return, and what they say when something is wrong."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oslet.cli.main import main
from oslet.cli.verbs import VERBS
from oslet.testing.archive import FakeArchive
from oslet.testing.makers import Made

from ..conftest import Oslet

real = [pytest.mark.slow, pytest.mark.network]
CLOSED = "http://127.0.0.1:9"
"""Where nobody listens: the discard port."""


class World(Oslet):
    """The command line in a store of its own, with a made archive, to be tampered with."""

    def __init__(self, folder: Path, busybox: Path) -> None:
        super().__init__(folder / "home", folder)
        self.archive = FakeArchive(folder / "archive")
        self.archive.add("busybox", files={"/usr/bin/busybox": Made(busybox.read_bytes(), 0o755), "/etc/b.conf": "b\n"})
        self.archive.release()
        self.file = folder / "box.toml"
        self.declare()

    def declare(self, package: str = "busybox") -> str:
        source = self.archive.source()
        self.file.write_text(
            f'name = "box"\npackages = ["{package}"]\ncommand = ["busybox", "echo", "it runs"]\nnetwork = "none"\n'
            f'[source]\nmirror = "{source.mirror}"\nkeyring = "{source.keyring}"\npockets = []\n'
        )
        return str(self.file)


@pytest.fixture
def world(tmp_path: Path, busybox: Path) -> World:
    return World(tmp_path, busybox)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert f"Usage: oslet {verb} " in capsys.readouterr().out


@pytest.mark.slow
class TestOwnStore:
    """No network: a made archive."""

    def test_locking(self, world: World) -> None:
        file = str(world.file)
        assert "not locked yet" in world("check", file).stderr
        assert "run `oslet lock`" in world("lock", file, "--check", code=2).stderr
        world("lock", file)
        world("lock", file, "--check")
        assert world.json("check", file)["locked"] is True
        world.archive.add("busybox", "2.0", files={"/usr/bin/busybox": "#!/bin/sh\n"})
        world.archive.add("other")
        world.archive.release()
        assert "up to date" in world("lock", file).stderr
        assert world("lock", file, "--upgrade").stdout == "busybox 1.0 → 2.0\n"
        assert [p["version"] for p in world.json("lock", file)["packages"]] == ["2.0"]
        world.declare("other")
        for words in (("lock", file, "--check"), ("check", file), ("build", file)):
            assert "the lock is stale" in world(*words, code=2).stderr

    def test_images_go_and_what_only_they_needed_with_them(self, world: World) -> None:
        digest = world("build", str(world.file)).stdout.strip()
        (image,) = world.json("images")
        assert (image["digest"], image["names"], image["image"]["name"]) == (digest, ["box"], "box")
        assert digest[:12] in world("images").stdout
        before = world.json("gc", "--dry-run")
        assert before["images"] == before["trees"] == 0
        assert world("rmi", digest[:8]).stdout.strip() == digest
        planned = world.json("gc", "--dry-run")
        assert planned["blobs"] == 1 and world.json("gc") == planned
        assert world.json("images") == [] and world.json("verify") == []

    def test_verify_finds_what_was_altered(self, world: World) -> None:
        world("build", str(world.file))
        world("verify")
        objects = [p for p in (world.folder / "home/objects").rglob("*") if p.is_file() and p.read_bytes() == b"b\n"]
        objects[0].chmod(0o644)
        objects[0].write_bytes(b"B\n")
        done = world("verify", code=4)
        assert objects[0].name.partition(".")[0] in done.stdout and "1 faults" in done.stderr

    def test_size_as_a_table_and_as_a_page(self, world: World) -> None:
        file = str(world.file)
        whole = world.json("size", file, "--by", "type")
        assert whole["size"] == sum(row["size"] for row in whole["rows"]) > 0
        assert {"program", "configuration"} <= {row["key"] for row in whole["rows"]}
        assert world("size", "box").stdout.split()[:1] == ["PACKAGE"] and "busybox" in world("size", "box").stdout
        assert "busybox" not in world("size", "box", "--dropped").stdout
        assert world("size", "box", "--html", "map.html").stdout == "map.html\n"
        page = (world.folder / "map.html").read_text()
        assert '"name":"box"' in page and '"/busybox"' in page
        assert world.json("size", "box", "--html", "map.html")["html"] == "map.html"
        assert (world.folder / "map.html").read_text() == page
        assert "can't write the page" in world("size", "box", "--html", "none/map.html", code=5).stderr
        assert [p.name for p in world.folder.iterdir() if p.name.startswith(".map")] == []

    def test_export_to_a_folder(self, world: World) -> None:
        world("export", str(world.file), "--rootfs", "out")
        assert (world.folder / "out/etc/b.conf").read_text() == "b\n"
        assert "name a new folder" in world("export", str(world.file), "--rootfs", "out", code=5).stderr
        assert "--microvm FOLDER" in world("export", str(world.file), code=2).stderr

    def test_each_class_of_error_has_its_code(self, world: World) -> None:
        assert "did you mean 'build'?" in world("bild", code=2).stderr
        assert "no such file" in world("build", "none.toml", code=2).stderr
        unknown = world("lock", world.declare("busibox"), code=3).stderr
        assert "busibox" in unknown and "busybox" in unknown
        package = next(world.archive.folder.rglob("*.deb"))
        whole = package.read_bytes()
        world("lock", world.declare())
        package.write_bytes(whole[:-1] + bytes((whole[-1] ^ 1,)))
        assert "busybox_1.0_all.deb" in world("build", str(world.file), code=4).stderr
        package.write_bytes(whole)
        world("build", str(world.file))
        assert "did you mean 'box'?" in world("run", "bax", code=6).stderr
        for words in (("exec", "none", "ls"), ("logs", "none"), ("stop", "none"), ("rm", "none"), ("wait", "none")):
            assert "oslet ps" in world(*words, code=6).stderr
        world.file = world.file.with_name("far.toml")
        world.file.write_text('name = "far"\npackages = ["busybox"]\n')
        world.environment["OSLET_MIRROR"] = CLOSED
        assert CLOSED in world("lock", str(world.file), code=7).stderr
        assert "refused" in world("pull", "localhost:9/none", code=7).stderr

    def test_schema_and_completion(self, world: World) -> None:
        import tomllib

        import jsonschema

        schema = json.loads(world("schema").stdout)
        jsonschema.validate(tomllib.loads(world.file.read_text()), schema)
        for shell in ("bash", "zsh", "fish"):
            script = world("completion", shell).stdout
            assert "_OSLET_COMPLETE" in script
            if program := shutil.which(shell):
                subprocess.run((program, "-n"), input=script, text=True, check=True, timeout=30)
        world("completion", "tcsh", code=2)
        world.environment |= {"_OSLET_COMPLETE": "bash_complete", "COMP_WORDS": "oslet ver", "COMP_CWORD": "1"}
        assert world().stdout.strip() == "plain,verify"


class TestHello:
    """One real static program from the real archive."""

    pytestmark = real

    def test_plan_names_what_build_makes(self, oslet: Oslet) -> None:
        file = str(oslet.example("hello"))
        plan, built = oslet.json("plan", file), oslet.json("build", file)
        assert plan["digest"] == built["plan"] == oslet("plan", file).stdout.split()[-1]
        assert set(built) == {"digest", "name", "arch", "size", "files", "plan", "tree"}
        assert oslet("build", file).stdout == f"{built['digest']}\n"
        assert oslet.json("build", file) == built
        assert " /usr/bin/busybox\n" in oslet("plan", file, "--paths").stdout

    def test_why(self, oslet: Oslet) -> None:
        file = str(oslet.example("hello"))
        kept = oslet("why", file, "/bin/busybox").stdout
        assert kept.startswith("/bin is a link to usr/bin\n") and "the declaration's command starts it" in kept
        dropped = oslet.json("why", file, "/usr/share/man/man1/busybox.1.gz")
        assert dropped["kept"] is False and "manual" in " ".join(dropped["lines"])
        assert "/usr/bin/busybox" in oslet("why", file, "/usr/bin/busybix", code=2).stderr

    def test_run_takes_the_images_params(self, oslet: Oslet) -> None:
        file = str(oslet.example("hello"))
        assert "--who STR" in oslet("run", file, "--help").stdout
        assert oslet("run", file, "--who=you").stdout == "Hello, you!\n"
        assert "100" in oslet("run", file, "--who", "x" * 101, code=2).stderr
        assert "did you mean --who?" in oslet("run", file, "--whom", "x", code=2).stderr
        assert "--memory" in oslet("run", file, "--memory", "lots", code=2).stderr
        for verb in ("run", "exec", "build"):
            wrong = oslet(verb, code=2)
            assert (wrong.stdout, wrong.stderr.splitlines()[-1]) == ("", f"Try 'oslet {verb} --help' for help.")

    def test_run_is_the_application(self, oslet: Oslet) -> None:
        file = str(oslet.example("hello"))
        oslet("run", file, "--", "busybox", "sh", "-c", "exit 7", code=7)
        many = "line\n" * 50_000
        assert oslet("run", file, "--", "busybox", "cat", stdin=many).stdout == many
        done = oslet("run", "-e", "A=b c", file, "-e", "B=d", "--", "busybox", "sh", "-c", 'echo "$A$B"; echo no >&2')
        assert (done.stdout, done.stderr) == ("b cd\n", "no\n")

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
    def test_signals_reach_it(self, oslet: Oslet, number: signal.Signals) -> None:
        name = number.name.removeprefix("SIG")
        script = f"trap 'echo got {name}; exit 5' {name}; echo up; while :; do busybox sleep 0.05; done"
        words = ("run", str(oslet.example("hello")), "--", "busybox", "sh", "-c", script)
        with subprocess.Popen(
            (sys.executable, "-m", "oslet", *words), env=oslet.environment, stdout=subprocess.PIPE, text=True
        ) as running:
            assert running.stdout is not None and running.stdout.readline() == "up\n"
            running.send_signal(number)
            assert running.communicate(timeout=60)[0] == f"got {name}\n"
        assert running.returncode == 5


@pytest.mark.slow
@pytest.mark.network
def test_an_instance_from_start_to_end(oslet: Oslet, free_port: Callable[[], int]) -> None:
    port = free_port()
    file = oslet.example("redis")
    assert "more than 65535" in oslet("run", str(file), "--port", "99999", code=2).stderr
    name = oslet.start(file, "--port", str(port), "--memory", "32MiB")
    cli = ("exec", name, "redis-cli", "-p", str(port))
    assert oslet(*cli, "config", "get", "maxmemory").stdout.split()[-1] == str(32 << 20)
    oslet("exec", name, "redis-cli", "-p", str(free_port()), "ping", code=1)
    (seen,) = (i for i in oslet.json("ps") if i["name"] == name)
    assert (seen["state"], seen["ports"], seen["image_name"]) == ("running", [port], "redis")
    assert name in oslet("ps").stdout and seen["id"] in oslet("ps", "-q").stdout.split()
    assert oslet.json("stats", name)[name]["processes"] >= 1
    assert "Ready to accept connections" in oslet("logs", name).stdout
    assert oslet("logs", name, "--tail", "1").stdout.count("\n") == 1
    assert "runs" in oslet("rm", name, code=6).stderr
    assert oslet("stop", name).stdout == f"{name}\n"
    assert oslet("wait", name).stdout == "0\n"
    assert name not in oslet("ps").stdout and name in oslet("ps", "--all").stdout
    assert "exec" not in oslet("exec", name, "redis-cli", code=6).stdout
    oslet("rm", name)
    oslet.started.remove(name)
    assert name in oslet.json("volumes")
    assert name not in oslet.json("volumes", "--rm", name)
