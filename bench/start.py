"""Starting: the API's cold start of ``hello``, beside the OCI runtimes on the same tree, and docker."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from bench import peers
from bench.measure import ROOT, Figure, Run, Skip, command, interleaved, say, show
from bench.ours import Ours

ROUNDS = 25
COMMAND = ["busybox", "true"]
BAR = 0.015


def starts(room: Path) -> list[Figure]:
    """p50 of start to end, interleaved. Ours may add 15 ms to the OCI runtime's own time."""
    say("building hello")
    ours = Ours("hello", room)
    ours.oslet(ours.warm, "export", "hello", "--rootfs", room / "rootfs")
    with contestants(ours, room) as runs:
        medians, skipped = interleaved(runs, ROUNDS)
    figures = [
        Figure(f"start of hello: {n}", show(medians[n]) if n in medians else "–", note=skipped.get(n, "")) for n in runs
    ]
    own, runtime = medians.get("oslet, API"), medians.get("crun")
    if own is not None and runtime is not None:
        over = own - runtime
        figures.insert(0, Figure("start of hello: oslet over crun", show(over), f"≤ {show(BAR)}", over <= BAR))
    return figures


@contextmanager
def contestants(ours: Ours, room: Path) -> Iterator[dict[str, Run]]:
    runs: dict[str, Run] = {"oslet, API": in_api(ours)}
    runs["oslet run"] = lambda: ours.timed(ours.warm, "run", "hello", "--", *COMMAND)
    stops: list[subprocess.Popen[str]] = []
    for runtime in ("crun", "runc"):
        try:
            if shutil.which(runtime) is None:
                raise Skip(f"no {runtime} on this machine")
            runs[runtime], process = in_runtime(runtime, room)
            stops.append(process)
        except Skip as reason:
            runs[runtime] = _skipping(reason)
    try:
        try:
            with peers.dockerd(room) as environment:
                tar = room / "hello.tar"
                command(["tar", "-C", room / "rootfs", "-cf", tar, "."])
                command(["docker", "import", tar, "hello"], env=environment)
                words = ["docker", "run", "--rm", "--network=none", "hello", *COMMAND]
                runs["docker run"] = lambda: _seconds(words, environment)
                yield runs
                return
        except Skip as reason:
            runs["docker run"] = _skipping(reason)
        yield runs
    finally:
        for process in stops:
            process.communicate("")


def _skipping(reason: Skip) -> Run:
    def run() -> float:
        raise reason

    return run


def _seconds(words: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    command(words, env=environment)
    return time.perf_counter() - began


def in_api(ours: Ours) -> Run:
    """From the call in a process that has the image and its arguments, until the application has ended."""
    from oslet.bind import bind
    from oslet.run import Wish
    from oslet.workspace import Workspace

    workspace = Workspace(ours.warm)
    built = workspace.image("hello")
    arguments = bind(built.image.params, {})

    def run() -> float:
        began = time.perf_counter()
        running = workspace.start(built, arguments, Wish(command=tuple(COMMAND)))
        code = running.wait()
        seconds = time.perf_counter() - began
        running.remove()
        if code:
            raise Skip(f"hello ended with {code}")
        return seconds

    return run


def in_runtime(runtime: str, room: Path) -> tuple[Run, subprocess.Popen[str]]:
    """The runtime alone on the same tree, told what oslet tells it: namespaces, mounts, seccomp; no cgroups.

    A process of ours in a mount namespace waits for a line, runs it once, and tells the seconds. For crun that
    namespace has no cgroups: it refuses a machine whose cgroups are half v1 and half v2.
    """
    peers.need_root()
    bundle = room / f"bundle-{runtime}"
    bundle.mkdir()
    (bundle / "config.json").write_text(json.dumps(_config(room / "rootfs")))
    enter = ["unshare", "--mount", "--propagation", "private"] if os.getuid() == 0 else ["unshare", "-Urm"]
    process = subprocess.Popen(
        [*enter, sys.executable, "-m", "bench.start", runtime, str(bundle), str(room / f"state-{runtime}")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    asked, told = _pipes(process)

    def run() -> float:
        asked.write("once\n")
        asked.flush()
        answer = told.readline().strip()
        try:
            return float(answer)
        except ValueError:
            raise Skip(answer or f"{runtime} can't be run here") from None

    return run, process


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin and process.stdout
    return process.stdin, process.stdout


def _config(rootfs: Path) -> dict[str, Any]:
    """What oslet tells the runtime, for a root that is ready instead of a layer of the instance's own."""
    from oslet.run.config import Process, config
    from oslet.run.ids import mapping

    process = Process(tuple(COMMAND), (("PATH", "/usr/bin:/bin"),), "/", 0, 0)
    told = config(process, hostname="hello", mapping=mapping(0, 0), volumes=())
    return {**told, "root": {"path": str(rootfs), "readonly": True}}


def _serve(runtime: str, bundle: str, state: str) -> None:
    """In the namespace: one run, and its seconds, for each line on stdin."""
    if runtime == "crun":  # runc wants its cgroups
        subprocess.run(["mount", "-t", "tmpfs", "none", "/sys/fs/cgroup"], check=True)
    words = [runtime, "--root", state, *(["--cgroup-manager=disabled"] if runtime == "crun" else []), "run"]
    for turn, _ in enumerate(sys.stdin):
        began = time.perf_counter()
        done = subprocess.run(
            [*words, f"--bundle={bundle}", f"bench-{turn}"], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        seconds = time.perf_counter() - began
        last = (done.stderr.strip().splitlines() or ["?"])[-1]
        print(seconds if done.returncode == 0 else f"{runtime}: {last}", flush=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
