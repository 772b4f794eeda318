"""./dev demo: build examples/web, start it, ask it over HTTP, and say what it is made of."""

from __future__ import annotations

import json
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import TypeVar
from urllib.request import Request, urlopen

from oslet.bind import bind
from oslet.cli.main import guarded
from oslet.cli.render import progress, size
from oslet.errors import RunError
from oslet.run import Wish
from oslet.trim.why import why
from oslet.workspace import Declared, Workspace

T = TypeVar("T")
HERE = Path(__file__).parent
PATHS = ("/usr/bin/python3", "/etc/passwd", "/usr/share/man/man1/pdb3.13.1.gz")


def timed(label: str, work: Callable[[], T]) -> T:
    """Do it, and print how long it took."""
    start = time.perf_counter()
    result = work()
    print(f"  {label:<34} {1000 * (time.perf_counter() - start):8.0f} ms", flush=True)
    return result


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def demo(folder: Path) -> int:
    with progress() as listen:
        workspace = Workspace(progress=listen)
        declared = Declared.read(folder / "web.toml")
        print(f"examples/web, in {workspace.root}")
        timed("lock: resolve packages and wheels", lambda: workspace.locked(declared))
        built = timed("build", lambda: workspace.build(declared))
        timed("build again", lambda: workspace.build(declared))
        port = free_port()
        arguments = bind(built.image.params, {"port": port})
        try:
            running = timed("start", lambda: workspace.start(built, arguments, notice=print))
        except RunError as error:
            print(f"  {error.what}: on the machine's network then")
            running = timed("start", lambda: workspace.start(built, arguments, Wish(network="host")))
        with timed("until it is healthy", running.ready):
            order = Request(
                f"http://127.0.0.1:{port}/items",
                json.dumps({"name": "lamp", "price": 8}).encode(),
                {"Content-Type": "application/json"},
            )
            answer = timed("ask: POST /items", lambda: urlopen(order, timeout=10).read().decode())
        print(f"  it answered {answer}")
        image, tree, lock = built.image, workspace.tree(built.image), workspace.lock_of(built.image)
    print(
        f"\n{image.files} files, {size(image.size)}, from {len(lock.packages)} packages and {len(lock.wheels)} wheels"
    )
    for path in PATHS:
        print(f"\noslet why web {path}")
        for depth, line in enumerate(why(path, tree, lock).lines):
            print(f"{'  ' * depth}{'← ' if depth else ''}{line}")
    return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as room:
        copytree(HERE / "web", Path(room) / "web", ignore=ignore_patterns("*.lock"))
        raise SystemExit(guarded(lambda: demo(Path(room) / "web")))
