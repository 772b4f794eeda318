"""The peers, each as it is best used: bootstrappers on a local archive, docker's and buildah's cached builds."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.measure import Skip, command, timed

NAMES = ("?essential", "?priority(required)", "apt", "ca-certificates", "nginx", "python3", "python3-venv")


def need(*tools: str) -> None:
    if missing := [t for t in tools if shutil.which(t) is None]:
        raise Skip(f"no {', '.join(missing)} on this machine")


def need_root() -> None:
    if os.getuid() != 0:
        raise Skip("needs root")


def archive(suite: str, room: Path, names: Sequence[str] = NAMES) -> Path:
    """A folder that is a Debian archive with ``names`` of ``suite`` and all they need: no peer waits for a network.

    apt resolves and fetches, with this machine's own mirror and keys, and a state of its own.
    """
    need("apt-get", "apt-ftparchive")
    need_root()
    mirror = room / "mirror"
    binary = mirror / "dists" / suite / "main" / "binary-amd64"
    state, cache, pool = room / "apt", room / "apt-cache", mirror / "pool"
    for folder in (state / "lists/partial", cache / "archives/partial", binary, pool, room / "apt-parts"):
        folder.mkdir(parents=True)
    (state / "status").touch()
    (room / "sources.list").write_text(f"deb [signed-by={keyring()}] {machine_mirror()} {suite} main\n")
    options = {
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": cache,
        "Dir::Etc::sourcelist": room / "sources.list",
        "Dir::Etc::sourceparts": room / "apt-parts",
        "APT::Sandbox::User": "",
        "APT::Install-Recommends": "false",
        "Debug::NoLocking": "true",
    }
    apt: list[str | Path] = ["apt-get", "-qq", *(f"-o{k}={v}" for k, v in options.items())]
    command([*apt, "update"])
    command([*apt, "-y", "--download-only", "install", *names])
    for deb in (cache / "archives").glob("*.deb"):
        deb.rename(pool / deb.name.replace("%3a", "."))
    (binary / "Packages").write_text(command(["apt-ftparchive", "packages", "pool"], cwd=mirror).stdout)
    release = ["apt-ftparchive"]
    release += [f"-oAPT::FTPArchive::Release::{k}={v}" for k, v in _release(suite).items()]
    text = command([*release, "release", f"dists/{suite}"], cwd=mirror).stdout
    (mirror / "dists" / suite / "Release").write_text(text)
    return mirror


def _release(suite: str) -> dict[str, str]:
    return {"Suite": suite, "Codename": suite, "Architectures": "amd64", "Components": "main"}


def machine_mirror() -> str:
    """The first Debian archive of this machine's apt, as apt itself tells it."""
    told = command(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT) $(ORIGIN)", "Created-By: Packages"]
    )
    for line in told.stdout.splitlines():
        uri, component, *origin = line.split()
        if component == "main" and origin == ["Debian"] and "security" not in uri:
            return uri
    raise Skip("this machine's apt knows no Debian archive (is `apt-get update` wanting?)")


def keyring() -> Path:
    path = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    if not path.exists():
        raise Skip(f"no {path}")
    return path


def mmdebstrap(variant: str, include: str, suite: str, mirror: Path, room: Path) -> float:
    need("mmdebstrap")
    out = room / "peer.tar"
    source = f"deb [trusted=yes] copy://{mirror} {suite} main"
    seconds = timed(
        ["mmdebstrap", "-q", f"--variant={variant}", f"--include={include}", suite, out, source],
        env={**os.environ, "TMPDIR": str(room)},
    )
    out.unlink()
    return seconds


def debootstrap(include: str, suite: str, mirror: Path, room: Path) -> float:
    need("debootstrap")
    need_root()
    out = room / "debootstrapped"
    words: list[str | Path] = ["debootstrap", "--no-check-gpg", "--variant=minbase", f"--include={include}"]
    try:
        return timed([*words, suite, out, f"file://{mirror}"])
    finally:
        shutil.rmtree(out, ignore_errors=True)


def wheels(house: Path, wanted: Sequence[str]) -> None:
    """A folder with wheels for Debian 13's Python, and all that they need."""
    house.mkdir()
    if wanted:
        words: list[str | Path] = [sys.executable, "-m", "uv", "tool", "run", "pip", "download", "-q", "-d", house]
        command([*words, "--only-binary=:all:", "--python-version=3.13", *wanted])


def base_tar(suite: str, mirror: Path, room: Path, wanted: list[str]) -> Path:
    """A minbase root with the local archive inside (and a folder of wheels), for docker and buildah to start from."""
    need("mmdebstrap")
    need_root()
    tar = room / "base.tar"
    house = room / "wheels"
    wheels(house, wanted)
    inside = f'mkdir -p "$1/mirror" && cp -a {mirror}/. "$1/mirror" && mkdir "$1/wheels" && cp -a {house}/. "$1/wheels"'
    inside += f' && echo "deb [trusted=yes] file:///mirror {suite} main" >"$1/etc/apt/sources.list"'
    source = f"deb [trusted=yes] copy://{mirror} {suite} main"
    command(["mmdebstrap", "-q", "--variant=minbase", f"--customize-hook={inside}", suite, tar, source])
    return tar


@contextmanager
def dockerd(room: Path) -> Iterator[dict[str, str]]:
    """A docker engine of our own, stopped afterwards; the environment that a client needs to reach it."""
    need("dockerd", "docker")
    need_root()
    # The engine's socket path must be short, whatever the room is called.
    socket = f"unix://{room}/d.sock"
    words = ["dockerd", "-H", socket, "--data-root", f"{room}/data", "--exec-root", f"{room}/exec"]
    words += ["--pidfile", f"{room}/pid", "--bridge=none", "--iptables=false"]
    log = (room / "dockerd.log").open("w")
    engine = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    environment = {**os.environ, "DOCKER_HOST": socket, "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": f"{room}/config"}
    try:
        for _ in range(300):
            probe = subprocess.run(["docker", "version"], env=environment, capture_output=True)
            if probe.returncode == 0:
                break
            if engine.poll() is not None:
                raise Skip(f"dockerd ends at once: {(room / 'dockerd.log').read_text().strip()[-200:]}")
            time.sleep(0.1)
        else:
            raise Skip("dockerd does not answer")
        yield environment
    finally:
        engine.send_signal(signal.SIGTERM)
        engine.wait(60)
        log.close()
        for left in room.glob("exec/netns/*"):  # the engine leaves its network namespace's file mounted
            subprocess.run(["umount", "-l", left], capture_output=True)


def docker_build(context: Path, environment: dict[str, str], *, cached: bool) -> float:
    fresh = [] if cached else ["--no-cache"]
    return timed(["docker", "build", "-q", "--network=host", *fresh, "-t", "peer", context], env=environment)


def buildah_build(context: Path, tar: Path, room: Path, *, cached: bool) -> float:
    need("buildah")
    need_root()
    storage = ["--root", f"{room}/containers", "--runroot", f"{room}/containers-run", "--storage-driver=overlay"]
    buildah: list[str | Path] = ["buildah", *storage]
    if not (room / "containers").exists():
        name = command([*buildah, "from", "--name=base", "scratch"]).stdout.strip()
        command([*buildah, "add", name, tar, "/"])
        command([*buildah, "commit", "-q", name, "localhost/base"])
    layers = ["--layers"] if cached else ["--no-cache"]
    words: list[str | Path] = [*buildah, "bud", "-q", "--isolation=chroot", "--network=host", *layers, "-t", "peer"]
    return timed([*words, "--build-arg=BASE=localhost/base", context])
