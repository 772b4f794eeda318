"""``./dev demo``: build examples/web, start it, ask it over HTTP, and tell what it is made of.

Everything goes through the command line, as a person would type it.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
OSLET = Path(sys.executable).with_name("oslet")
ASKED_WHY = ("/usr/bin/python3", "/etc/ssl/certs/ca-certificates.crt", "/usr/share/doc/python3/copyright")


def oslet(*words: str | Path) -> str:
    """Run a verb; its talk goes to the terminal, its data comes back. Ends the demo with its exit code if it fails."""
    print(f"$ oslet {' '.join(map(str, words))}", flush=True)
    done = subprocess.run([OSLET, *words], cwd=HERE, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    if done.returncode:
        print(done.stdout, end="", file=sys.stderr)
        sys.exit(done.returncode)
    return done.stdout


def seconds(since: float) -> str:
    return f"{time.perf_counter() - since:.2f} s"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ask(port: int, path: str, body: dict[str, Any] | None = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text: str = answer.read().decode()
    print(f"  {request.get_method()} {path} → {answer.status} {text}")
    return text


def demo() -> None:
    declaration = "web/web.toml"
    began = time.perf_counter()
    image = json.loads(oslet("build", declaration, "--json"))
    print(f"  locked, fetched, verified and built in {seconds(began)}")
    began = time.perf_counter()
    oslet("build", declaration)
    print(f"  built again (a look-up) in {seconds(began)}")
    print(f"  {image['size'] / 1e6:.1f} MB in {image['files']} files, digest {image['digest'][:12]}")

    port = free_port()
    name = f"demo-{port}"
    began = time.perf_counter()
    oslet("run", "web", "-d", "--wait", "--name", name, "--port", str(port))
    try:
        print(f"  running and healthy in {seconds(began)}")
        ask(port, "/healthz")
        ask(port, "/items", {"name": "lamp", "price": 8})
    finally:
        oslet("stop", name)
        oslet("rm", name)

    for path in ASKED_WHY:
        print("".join(f"  {line}\n" for line in oslet("why", "web", path).splitlines()), end="")


if __name__ == "__main__":
    demo()
