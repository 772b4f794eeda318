"""The Python spelling, as a person writes it: a class, a call, a running instance."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from ..conftest import Oslet

pytestmark = [pytest.mark.slow, pytest.mark.network]

SCRIPT = """
import sys
import urllib.error
from redis import Redis
from nginx_ import Nginx

key, certificate = (open(name).read() for name in sys.argv[2:4])
with Nginx(port=int(sys.argv[1]), tls_port=int(sys.argv[4]), key=key, certificate=certificate).start() as nginx:
    print(nginx.get("/").status)
    try:
        nginx.get("/nothing")
    except urllib.error.HTTPError as error:
        print(error.code)
    print(nginx.observed.state)
with Redis(port=int(sys.argv[5])).start() as redis:
    print(redis.exec(["redis-cli", "-p", sys.argv[5], "ping"]))
"""


def test_with_blocks_end_what_they_start(
    oslet: Oslet, free_port: Callable[[], int], certificate: tuple[str, str]
) -> None:
    nginx, redis = oslet.example("nginx").parent, oslet.example("redis").parent
    (nginx / "nginx.py").rename(nginx / "nginx_.py")  # not to hide a package of that name
    cert, key = certificate
    ports = [str(free_port()) for _ in range(3)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, ports[0], str(key), str(cert), ports[1], ports[2]],
        env={**oslet.environment, "PYTHONPATH": f"{nginx}:{redis}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["200", "404", "running", "PONG", "0"]
    running = {instance["name"] for instance in oslet.json("ps")}
    assert not running & {"nginx", "redis"}
