"""Chaos: random operations on instances with everything killed at random, and what is reported held to the kernel.

    python -m bench.chaos [--operations N] [--seed S] [--faults F]
    python -m bench.chaos --within FOLDER ROOT CRUN [--slirp4netns S] …

The second is for who has a root with busybox (ROOT) and a runtime already; it prints what went wrong, one line each,
and exits with 1 if anything did. As root it is to be run in a network namespace of its own, which the first sees to.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.disorder import Chaos
from bench.measure import say
from bench.shell import SLEEP, sealed, tree
from oslet.model.instance import Arguments
from oslet.run import (
    Places,
    Tools,
    Wish,
    run,
)
from oslet.run.ids import store_owner
from oslet.run.monitor import Stdio
from oslet.run.net import links
from oslet.run.net.netlink import ROUTE as ROUTING
from oslet.run.net.netlink import Netlink


def play(folder: Path, root: Path, tools: Tools, operations: int, seed: int, most: int) -> int:
    """The faults found in so many operations; the play ends early once there are ``most``."""
    if os.geteuid() == 0:  # in a network of its own, which has nothing up
        netlink = Netlink(ROUTING)
        netlink.ask([links.up(links.LOOPBACK)])
        netlink.close()
    places = Places(folder / "state", folder / "data", folder / "store")
    chaos = Chaos(places, tools, root, seed)
    began = time.monotonic()
    for number in range(operations):
        chaos.step()
        if number % 250 == 249:
            say(f"{number + 1} operations in {time.monotonic() - began:.0f} s, {len(chaos.faults)} faults")
        if len(chaos.faults) >= most:
            break
    chaos.finale()
    counted = ", ".join(f"{name} {count}" for name, count in sorted(chaos.done.items()))
    took = f"{time.monotonic() - began:.0f} s"
    print(f"seed {seed}: {operations} operations ({counted}), {len(chaos.faults)} faults, {took}")
    return len(chaos.faults)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--operations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--faults", type=int, default=20, help="how many faults are enough")
    parser.add_argument("--within", nargs=3, type=Path, metavar=("FOLDER", "ROOT", "CRUN"), help=argparse.SUPPRESS)
    parser.add_argument("--client", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--slirp4netns", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.client:
        return _be_client(given.state, *given.client)
    if given.within:
        folder, root, crun = given.within
        return int(play(folder, root, Tools(crun, given.slirp4netns), given.operations, given.seed, given.faults) > 0)
    return prepared(given)


def _be_client(folder: Path, root: Path, crun: Path) -> int:
    places = Places(folder / "state", folder / "data", folder / "store")
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    own = sealed(places, tree(root), root, SLEEP, "front")
    return run(own, Arguments({}), Wish(), lambda: Tools(crun, None), places, Stdio(null, null, null))


def prepared(given: argparse.Namespace) -> int:
    """Build a root with busybox, and play in a network namespace of its own as root."""
    from bench.ours import Ours

    with tempfile.TemporaryDirectory(prefix="ob") as name:
        room = Path(name)
        room.chmod(0o755)
        ours = Ours("hello", room)
        ours.oslet(ours.warm, "export", "hello", "--rootfs", room / "rootfs")
        lay(room / "rootfs")
        from oslet.workspace import Workspace

        tools = Workspace(ours.warm).instance_tools()
        return subprocess.call([*apart(), *within(room / "play", room / "rootfs", tools, given.operations, given.seed)])


def lay(root: Path) -> None:
    """Have a root belong to who plays an instance's root."""
    if (owner := store_owner()) is not None:
        for path in (root, *root.rglob("*")):
            os.chown(path, owner, owner, follow_symlinks=False)


def apart() -> list[str]:
    """A network of its own for root, whose instances' networks are the machine's."""
    return ["unshare", "-n"] if os.geteuid() == 0 else []


def within(folder: Path, root: Path, tools: Tools, operations: int, seed: int) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "bench.chaos", "--operations", str(operations), "--seed", str(seed)]
    words += ["--within", str(folder), str(root), str(tools.crun)]
    return [*words, *(["--slirp4netns", str(tools.slirp4netns)] if tools.slirp4netns else [])]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
