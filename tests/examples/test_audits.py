"""The examples audited while they serve: whatever they are asked, they ask for nothing that was left out."""

from __future__ import annotations

import urllib.error
from collections.abc import Callable

import pytest

from ..conftest import Oslet
from .test_examples import ask

pytestmark = [pytest.mark.slow, pytest.mark.network]
Port = Callable[[], int]


def test_flask(oslet: Oslet, free_port: Port) -> None:
    port = free_port()
    name = oslet.start(oslet.example("flask"), "--audit", "--port", str(port), "--workers", "1")
    for _ in range(3):
        assert "Hello" in ask(f"http://127.0.0.1:{port}/")
    with pytest.raises(urllib.error.HTTPError):
        ask(f"http://127.0.0.1:{port}/none")
    oslet("stop", name)
    assert oslet.json("audit", name) == []
    assert oslet("audit", name).stdout == "no dropped path was asked for\n"


def test_redis(oslet: Oslet, free_port: Port) -> None:
    import redis

    port = free_port()
    name = oslet.start(oslet.example("redis"), "--audit", "--port", str(port))
    with redis.Redis(port=port) as client:
        assert client.set("answer", "42") and client.save()
    assert oslet.json("audit", name) == []
    missed = "/usr/bin/redis-benchmark"
    assert oslet("exec", name, missed, "--version").stdout.startswith("redis-benchmark"), (
        "it was left out, and is there"
    )
    oslet("stop", name)
    found = {each["path"]: each for each in oslet.json("audit", name)}
    assert "run" in found[missed]["how"] and found[missed]["keep"] == missed


def test_a_service_user_in_every_way_to_say_a_path(oslet: Oslet) -> None:
    """Whose memory and descriptors belong to another id than the caller's; and the answer is the application's own."""
    script = """
import os
manual = "python3/README.Debian"
os.chdir("/usr/share/doc")
os.stat(manual)
os.close(os.open(manual, os.O_RDONLY, dir_fd=os.open("/usr/share/doc", os.O_RDONLY | os.O_DIRECTORY)))
raise SystemExit(os.getuid() == 33)
"""
    (oslet.folder / "who.py").write_text(script)
    (oslet.folder / "who.toml").write_text(
        'name = "who"\npackages = ["python3"]\nuser = "www-data"\nnetwork = "none"\n'
        'command = ["python3", "/who.py"]\nfiles = { "/who.py" = "./who.py" }\n'
    )
    said = oslet("run", "--audit", "who.toml", code=1).stderr
    assert "/usr/share/doc/python3/README.Debian: looked at and opened by python3" in said or (
        "/usr/share/doc/python3/README.Debian: opened and looked at by python3" in said
    )
