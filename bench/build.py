"""Building: cold stores against Debian's bootstrappers, docker and buildah; builds with nothing, or little, to do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import peers
from bench.measure import Figure, Run, Skip, command, compared, say
from bench.ours import Ours, peak_memory

SUITE = "trixie"
WHEELS = ["fastapi", "uvicorn", "python-multipart", "websockets"]

NGINX = """\
ARG BASE=base
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends nginx
COPY site /srv/site
"""
WEB = """\
ARG BASE=base
FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv ca-certificates
RUN python3 -m venv /venv && /venv/bin/pip install -q --no-index --find-links=/wheels %s
COPY app /app
"""


def skipping(reason: Skip) -> Run:
    def run() -> float:
        raise reason

    return run


@contextmanager
def engine(room: Path, mirror: Path | Skip) -> Iterator[tuple[Path, dict[str, str]] | Skip]:
    """A docker engine with the base image, or why there is none. The base image's tar goes with it."""
    try:
        if isinstance(mirror, Skip):
            raise mirror
        say("preparing the base image for docker and buildah")
        tar = peers.base_tar(SUITE, mirror, room, WHEELS)
        with peers.dockerd(room) as environment:
            command(["docker", "import", tar, "base"], env=environment)
            yield tar, environment
    except Skip as reason:
        yield reason


def local_archive(room: Path) -> Path | Skip:
    say("preparing a local Debian archive for the peers")
    try:
        return peers.archive(SUITE, room)
    except Skip as reason:
        return reason


def context(room: Path, name: str, dockerfile: str, ours: Ours, part: str) -> Path:
    folder = room / f"context-{name}"
    shutil.copytree(ours.folder / part, folder / part)
    (folder / "Dockerfile").write_text(dockerfile)
    return folder


def builds(room: Path) -> list[Figure]:
    """nginx and web from a warm package cache, nothing else kept; then no-op, and one application file changed."""
    mirror = local_archive(room)
    (room / "n").mkdir()
    (room / "w").mkdir()
    say("fetching what oslet builds from")
    nginx, web = Ours("nginx", room / "n"), Ours("web", room / "w")
    with engine(room, mirror) as docker:
        figures = [*nginx_cold(room, nginx, mirror, docker), *web_cold(room, web, docker)]
        return [*figures, *again(room, web, docker)]


def nginx_cold(room: Path, ours: Ours, mirror: Path | Skip, docker: tuple[Path, dict[str, str]] | Skip) -> list[Figure]:
    folder = context(room, "nginx", NGINX, ours, "site")
    runs: dict[str, Run] = {"oslet": ours.cold_build}
    for variant in ("extract", "essential"):
        runs[f"mmdebstrap {variant}"] = (
            skipping(mirror)
            if isinstance(mirror, Skip)
            else lambda v=variant, m=mirror: peers.mmdebstrap(v, "nginx", SUITE, m, room)  # type: ignore[misc]
        )
    runs["debootstrap"] = (
        skipping(mirror) if isinstance(mirror, Skip) else lambda m=mirror: peers.debootstrap("nginx", SUITE, m, room)  # type: ignore[misc]
    )
    runs |= engines(docker, folder, room, cached=False)
    bars = {"mmdebstrap extract": 2.0, "mmdebstrap essential": 8.0}
    return compared("build nginx, cold store", "oslet", runs, at_most=1.5, times=bars)


def web_cold(room: Path, ours: Ours, docker: tuple[Path, dict[str, str]] | Skip) -> list[Figure]:
    folder = context(room, "web", WEB % " ".join(WHEELS), ours, "app")
    runs: dict[str, Run] = {"oslet": ours.cold_build, **engines(docker, folder, room, cached=False)}
    return compared("build web, cold store", "oslet", runs, at_most=4.0, times={"docker build": 3.0})


def again(room: Path, ours: Ours, docker: tuple[Path, dict[str, str]] | Skip) -> list[Figure]:
    folder = room / "context-web"

    def changing(where: Path, run: Run) -> Run:
        def turn() -> float | None:
            with (where / "app" / "app.py").open("a") as stream:
                stream.write("# one more line\n")
            return run()

        return turn

    def ours_again() -> float:
        return ours.timed(ours.warm, "build", ours.file)

    theirs = engines(docker, folder, room, cached=True)
    for run in theirs.values():  # fills their caches; a peer that can't will say so when its turn comes
        try:
            run()
        except Skip:
            continue
    same: dict[str, Run] = {"oslet": ours_again, **theirs}
    changed: dict[str, Run] = {"oslet": changing(ours.folder, ours_again)}
    changed |= {name: changing(folder, run) for name, run in theirs.items()}
    bars = {"docker build": 1.0}
    return [
        *compared("no-op build of web", "oslet", same, at_most=0.1, times=bars),
        *compared("build of web after a file changed", "oslet", changed, at_most=0.2, times=bars),
    ]


def engines(docker: tuple[Path, dict[str, str]] | Skip, folder: Path, room: Path, *, cached: bool) -> dict[str, Run]:
    if isinstance(docker, Skip):
        return {"docker build": skipping(docker), "buildah bud": skipping(docker)}
    tar, environment = docker
    return {
        "docker build": lambda: peers.docker_build(folder, environment, cached=cached),
        "buildah bud": lambda: peers.buildah_build(folder, tar, room, cached=cached),
    }


def memory(room: Path) -> list[Figure]:
    """The most memory that building postgres holds, its packages there and the store cold."""
    ours = Ours("postgres", room)
    from bench.ours import OSLET

    most = peak_memory([str(OSLET), "build", str(ours.file)], ours.environment(ours.cold()))
    return [Figure("memory, building postgres", f"{most / 1e6:.0f} MB", "< 300 MB", most < 300e6)]
