"""The same applications as ``docker build`` makes them from a minbase, written as one is told to: nothing that is only
recommended, no lists and no caches left."""

from __future__ import annotations

import contextlib
import functools
import http.server
import shutil
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench import peers
from bench.applications import Application
from bench.measure import Skip, command, say

APT = "apt-get update && apt-get install -y --no-install-recommends {0} && rm -rf /var/lib/apt/lists/* /var/cache/apt/*"
PIP = "python3 -m venv /venv && /venv/bin/pip install -q --no-cache-dir --no-index --find-links={0}/wheels/ {1}"
NO_CLUSTER = "mkdir /etc/postgresql-common && echo create_main_cluster=false >/etc/postgresql-common/createcluster.conf"


def dockerfile(application: Application, url: str) -> str:
    lines = ["FROM base"]
    if "postgresql" in application.packages:
        lines.append(f"RUN {NO_CLUSTER}")
    lines.append("RUN " + APT.format(" ".join(application.packages)))
    if application.wheels:
        lines.append("RUN " + PIP.format(url, " ".join(application.wheels)))
    if application.example in ("fastapi", "flask"):
        lines.append("COPY app /app")
    if application.example == "nginx":
        lines.append("COPY site /srv/site")
    return "\n".join(lines) + "\n"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder over HTTP on this machine, for as long as the block lasts; its address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def minbase(applications: tuple[Application, ...], room: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """A docker engine with a minbase named ``base``, and the archive that it installs from: the archive's address, and
    the environment of a client. Raises Skip."""
    peers.need("mmdebstrap", "docker")
    suite = applications[0].suite
    names = [n for each in applications for n in each.packages]
    say("preparing a local Debian archive and a minbase for docker")
    mirror = peers.archive(suite, room, ("?essential", "?priority(required)", "apt", "ca-certificates", *names))
    peers.wheels(mirror / "wheels", sorted({w for each in applications for w in each.wheels}))
    with served(mirror) as url:
        tar = room / "minbase.tar"
        command(["mmdebstrap", "-q", "--variant=minbase", suite, tar, f"deb [trusted=yes] {url} {suite} main"])
        with peers.dockerd(room) as environment:
            command(["docker", "import", tar, "base"], env=environment)
            yield url, environment


def rootfs(application: Application, files: Path, url: str, environment: Mapping[str, str], room: Path) -> Path:
    """``docker build`` one application; its root as a tar. Raises Skip."""
    name = f"{application.example}-peer"
    context = room / name
    context.mkdir()
    for part in ("app", "site"):
        with contextlib.suppress(FileNotFoundError):
            shutil.copytree(files / part, context / part)
    (context / "Dockerfile").write_text(dockerfile(application, url))
    say(f"docker build: {application.name}")
    command(["docker", "build", "-q", "--network=host", "-t", name, context], env=environment)
    container = command(["docker", "create", name, "none"], env=environment).stdout.strip()
    tar = room / f"{name}.tar"
    command(["docker", "export", "-o", tar, container], env=environment)
    if not tar.exists():
        raise Skip("docker export wrote nothing")
    return tar
