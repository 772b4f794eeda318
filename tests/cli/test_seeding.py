"""Management and seeds from the command line: restart, env, inspect, files, signal, manage; user-data and seed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path

import pytest

from oslet.formats import boot, iso9660

from .test_living import Box, box, made, until

__all__ = ["box", "made"]  # the fixtures

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.usefixtures("runtime")]

LOOP = 'echo "$A"; trap "echo heard" USR1; while :; do busybox sleep 0.05; done'


def named(box: Box) -> str:
    box.started.append(f"t-{uuid.uuid4().hex[:10]}")
    return box.started[-1]


class TestVerbs:
    def test_a_restart_with_other_arguments(self, box: Box) -> None:
        name = named(box)
        shell = ("--", "busybox", "sh", "-c", "busybox cat /run/secrets/token; echo; busybox sleep 60")
        (box.folder / "t1").write_text("hunter1")
        (box.folder / "t2").write_text("hunter2")
        box("run", "-d", "--name", name, "living-vault", "--token", "@t1", "--who", "me", *shell)
        until(lambda: box("logs", name).stdout == "hunter1\n")
        before = box.json("inspect", name)
        again = box.json("restart", name, "--token", "@t2", "--who", "her", "-e", "A=b", "-t", "0")
        until(lambda: box("logs", name).stdout == "hunter1\nhunter2\n")
        after = box.json("inspect", name)
        assert again["id"] == before["instance"]["id"] == after["instance"]["id"]
        assert (before["arguments"], after["arguments"]) == ({"who": "me"}, {"who": "her"})
        assert "hunter" not in json.dumps(after) and after["env"]["A"] == "b"
        for words, said in (
            (("--token", "open"), "does not belong on a command line"),
            (("--tokn", "x"), "did you mean --token?"),
            (("--unset", "B"), "was set by no --env"),
            (("other",), "one instance is enough"),
            (("-t", "soon"), "isn't a duration"),
        ):
            done = box("restart", name, *words, code=6 if "--unset" in words else 2)
            assert said in done.stderr
        assert "--token @FILE" in box("restart", name, "--help").stdout

    def test_the_environment_of_the_next_start(self, box: Box) -> None:
        name = box.shell(LOOP, "-e", "A=1")
        box("env", name, "A=2", "B=3")
        assert box.json("env", name)["A"] == "1"
        box("restart", name, "-t", "0")
        until(lambda: box("logs", name).stdout == "1\n2\n")
        assert "B=3" in box("env", name).stdout.splitlines()
        box("env", name, "B=")
        box("restart", name, "-t", "0")
        assert "B" not in box.json("env", name)

    def test_signals_and_files(self, box: Box) -> None:
        name = box.shell(LOOP)
        until(lambda: box("logs", name).stdout)
        box("signal", name, "USR1")
        until(lambda: "heard" in box("logs", name).stdout)
        assert "no process 99" in box("signal", name, "HUP", "-p", "99", code=6).stderr
        (box.folder / "f").write_text("12345")
        box("cp", "f", f"{name}:/tmp/f")
        assert [(e["name"], e["size"]) for e in box.json("files", f"{name}:/tmp/f")] == [("f", 5)]
        assert "-rw-" in box("files", f"{name}:/tmp").stdout
        box("files", f"{name}:/tmp/f", "--remove")
        assert "No such file" in box("files", f"{name}:/tmp/f", code=6).stderr

    def test_manage_is_over_http_until_it_is_interrupted(self, box: Box) -> None:
        name = box.shell(LOOP)
        command = (sys.executable, "-m", "oslet", "manage", name, "--json")
        with subprocess.Popen(command, env=box.environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            said = json.loads(process.stdout.readline())
            file = Path(said["token_file"])
            assert file.stat().st_mode & 0o777 == 0o600
            request = urllib.request.Request(
                f"{said['url']}/v1/instances", headers={"Authorization": f"Bearer {file.read_text().strip()}"}
            )
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert [i["name"] for i in json.loads(answer.read())] == [name]
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
        assert not file.exists()
        assert "other machines" in box("manage", name, "--listen", "0.0.0.0:0", code=2).stderr
        assert "does not belong" in box("manage", name, "--token", "in-the-open-in-ps", code=2).stderr


class TestSeeds:
    def test_user_data_is_the_arguments(self, box: Box) -> None:
        name = f"t-{uuid.uuid4().hex[:10]}"
        (box.folder / "ud").write_text("#cloud-config\noslet: {params: {who: cloud}}\n")
        (box.folder / "md").write_text(f"instance-id: i-1\nlocal-hostname: {name}.example.org\n")
        assert box("run", "living-box", "--user-data", "ud").stdout == "Hello, cloud!\n"
        assert box("run", "living-box", "--user-data", "ud", "--who", "you").stdout == "Hello, you!\n"
        assert box.alone("run", "living-box", "--user-data", "ud").returncode == 99  # the whole command line reads it
        box.started.append(name)
        words = ("--user-data", "ud", "--meta-data", "md", "living-box", "--", "busybox", "hostname")
        box("run", "-d", *words)
        until(lambda: box("logs", name).stdout == f"{name}\n")
        (box.folder / "bad").write_text("#cloud-config\noslet:\n  params:\n    wo: you\n")
        done = box("run", "living-box", "--user-data", "bad", code=2)
        assert done.stderr == "oslet: bad:4: wo: no such param\n  did you mean 'who'?\n"
        assert "can't be read" in box("run", "living-box", "--user-data", "none", code=2).stderr

    def test_a_folder_or_a_disk_with_both(self, box: Box) -> None:
        files = {"user-data": b"who=disk\n", "meta-data": b"instance-id: seeded/1\n"}
        (box.folder / "nocloud").mkdir()
        for file, data in files.items():
            (box.folder / "nocloud" / file).write_bytes(data)
        (box.folder / "seed.iso").write_bytes(iso9660.write(files, "cidata"))
        for place in ("nocloud", "seed.iso"):
            box.started.append("seeded-1")
            box("run", "-d", "--user-data", place, "living-box")
            until(lambda: box("logs", "seeded-1").stdout == "Hello, disk!\n")
            box("rm", "--force", "seeded-1")
        (box.folder / "cut.iso").write_bytes(iso9660.write(files, "cidata")[: 20 * 2048 + 100])
        assert "cut.iso" in box("run", "living-box", "--user-data", "cut.iso", code=2).stderr

    def test_a_seed_is_what_a_guest_is_told(self, box: Box) -> None:
        (box.folder / "t").write_text("hush")
        for form in ("initramfs", "fw-cfg", "disk", "nocloud", "user-data", "cloud-config"):
            words = ("--token", "@t", "--who", "you", "--hostname", "g", "-e", "A=b", "--json")
            wrote = json.loads(box("seed", "living-vault", "--as", form, "-o", f"s.{form}", *words).stdout)
            file = box.folder / wrote["file"]
            data = file.read_bytes()
            assert file.stat().st_mode & 0o777 == 0o600 and len(data) == wrote["size"]
            if form == "cloud-config":
                assert box("run", "--user-data", str(file), "living-vault").stdout == "Hello, you!\n"
                continue
            if form == "nocloud":
                assert iso9660.read(data)["meta-data"].endswith(b"local-hostname: g\n")
                data = iso9660.read(data)["user-data"]
            if form == "initramfs":
                archive = subprocess.run(["cpio", "-it"], input=data, capture_output=True, check=False)
                assert archive.stdout.split()[-1:] == [b".oslet/boot.d/seed"]
                data = data[data.index(boot.MAGIC) :]
            told = boot.decode(data)
            assert told.argv == ("busybox", "echo", "Hello, you!") and told.env == {"A": "b"}
            assert told.identity.hostname == "g"
            secret = next(f for f in told.files if f.secret)
            assert (secret.path, secret.data, secret.mode) == ("/run/secrets/token", b"hush", 0o400)

    def test_no_secret_is_on_a_kernels_command_line(self, box: Box) -> None:
        (box.folder / "t").write_text("hush")
        done = box("seed", "living-vault", "--as", "cmdline", "--token", "@t", code=2)
        assert "no place for secrets" in done.stderr and "hush" not in done.stderr
        line = box("seed", "living-box", "--as", "cmdline", "--who", "a b").stdout
        assert boot.decode(line.strip().removeprefix("oslet.boot=").encode()).argv[-1] == "Hello, a b!"
        assert "no form" in box("seed", "living-box", "--as", "cmdlin", code=2).stderr
        assert "can't be written" in box("seed", "living-box", "--as", "disk", "-o", "no/such", code=2).stderr

    def test_the_same_arguments_make_the_same_bytes(self, box: Box) -> None:
        for name in ("a.iso", "b.iso"):
            box("seed", "living-box", "--as", "nocloud", "-o", name)
        assert (box.folder / "a.iso").read_bytes() == (box.folder / "b.iso").read_bytes()
