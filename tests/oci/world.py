"""A small image for the tests of OCI: a static program of this machine's, or a made-up file, and its contract."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from oslet.model.image import Image
from oslet.model.lock import Lock
from oslet.model.oslet import File, Policy, Start, Template
from oslet.model.param import Param, PortKind, SecretKind, StrKind
from oslet.model.plan import Plan
from oslet.model.tree import Entry, Tree
from oslet.store import Store
from oslet.workspace import machine_arch

PORT = Param("port", PortKind(), 8080)
NAME = Param("name", StrKind())
TOKEN = Param("token", SecretKind())
GREETING = File("/etc/app/app.ini", Template("app.ini", "port = {{ port }}\n", 0o640))


class World(NamedTuple):
    """A store with one sealed image in it."""

    store: Store
    digest: str
    image: Image
    tree: Tree


def tree_of(store: Store, files: dict[str, tuple[bytes, str]], more: tuple[Entry, ...] = ()) -> Tree:
    """A tree of ``path → (content, origin)``, its folders made, and ``more``."""
    entries = {entry.path: entry for entry in more}
    for path, (data, origin) in files.items():
        mode = 0o755 if "/bin/" in path else 0o644
        entries[path] = Entry(path, "file", mode, 0, 0, len(data), store.put(data, mode), "", origin, "wanted")
    for path in list(entries):
        while path := path.rpartition("/")[0]:
            entries.setdefault(path, Entry(path, "dir", 0o755, origin="made:folders", reason="above a file"))
    return Tree(
        tuple(entries[p] for p in sorted(entries)),
        (Entry("/usr/share/doc/x", "file", 0o644, size=9, origin="x", reason="documentation"),),
    )


def seal(store: Store, tree: Tree, start: Start, params: tuple[Param, ...] = (), *files: File) -> World:
    lock = Lock("", "trixie", machine_arch())
    plan = Plan("app", machine_arch(), "trixie", (), Policy(), start, params, (), 1)
    image = Image(
        name="app",
        arch=machine_arch(),
        plan=store.save(plan),
        tree=store.save(tree),
        lock=store.save(lock),
        start=start,
        params=params,
        rendered=files,
        files=tree.files,
        size=tree.size,
        uid=0,
        gid=0,
    )
    return World(store, store.seal(image), image, tree)


def small(root: Path, *params: Param, command: tuple[str, ...] = ("/usr/bin/app", "{port}")) -> World:
    """Three packages, a link, an empty folder, two equal large files, and a template."""
    store = Store(root)
    big = bytes(range(256)) * 512
    files = {
        "/usr/bin/app": (b"\x7fELF not quite", "app"),
        "/usr/lib/one": (big, "libone"),
        "/usr/lib/same": (big, "libone"),
        "/etc/passwd": (b"root:x:0:0:root:/root:/bin/sh\n", "made:accounts"),
        "/app/main.py": (b"print()\n", "files"),
    }
    more = (
        Entry("/usr/lib/link", "link", 0o777, target="one", origin="libone", reason="wanted"),
        Entry("/var/lib/app", "dir", 0o750, 0, 0, origin="app", reason="wanted"),
    )
    start = Start(command=command, env=(("MODE", "on {port}"),), ports=("{port}",), volumes=("/var/lib/app",))
    return seal(store, tree_of(store, files, more), start, params or (PORT,), GREETING)


def runnable(root: Path, folder: Path) -> World:
    """An image whose program is a C-library-free busybox or, where there is none, this test can't be run."""
    program = next((p for p in ("/bin/busybox", "/usr/lib/initramfs-tools/bin/busybox") if Path(p).exists()), None)
    data = Path(program).read_bytes() if program else _minimal(folder)
    store = Store(root)
    path = "/usr/bin/busybox" if program else "/usr/bin/app"  # busybox is whatever it is called
    command = (path, "cat", "/etc/app/app.ini") if program else (path,)
    files = {path: (data, "app"), "/etc/passwd": (b"root:x:0:0:root:/root:/bin/sh\n", "made:accounts")}
    return seal(store, tree_of(store, files), Start(command=command), (PORT,), GREETING)


def _minimal(folder: Path) -> bytes:
    """A program that copies its configuration to its output, made by the machine's compiler or else ziglang's."""
    source = folder / "app.c"
    source.write_text(
        "#include <fcntl.h>\n#include <unistd.h>\nint main(void) { char b[64];\n"
        'int f = open("/etc/app/app.ini", O_RDONLY); long n = read(f, b, 64); return write(1, b, n) != n; }\n'
    )
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no static program here: neither busybox nor a compiler")
    subprocess.run((compiler, "-static", "-o", folder / "app", source), check=True, timeout=60)
    return (folder / "app").read_bytes()


def tool(name: str) -> str:
    """The program's path; skips the test where it isn't installed."""
    found = shutil.which(name) or next(
        (f"/{d}/{name}" for d in ("usr/sbin", "sbin") if Path(f"/{d}/{name}").exists()), ""
    )
    if not found:
        pytest.skip(f"{name} isn't installed")
    return found


def said(*words: str | Path, timeout: float = 120) -> str:
    """What a program prints; the test fails, with what it complains of, if it does."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr[-2000:]}"
    return done.stdout


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def process(*words: str | Path, ready: Callable[[], bool], log: Path, patience: float = 30) -> Iterator[bool]:
    """A server until the end of the block; yields whether it got ready."""
    with log.open("wb") as stream:
        server = subprocess.Popen([str(w) for w in words], stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
    try:
        end = time.monotonic() + patience
        while not (up := ready()) and server.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        yield up
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def registry(folder: Path, *, htpasswd: str = "") -> Iterator[str]:
    """Debian's docker-registry on loopback, its data in ``folder``; yields ``localhost:PORT``."""
    program = tool("docker-registry")
    port = free_port()
    auth = ""
    if htpasswd:
        (folder / "htpasswd").write_text(htpasswd)
        auth = f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
    (folder / "registry.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/registry}}}}\n"
        f'http: {{addr: "127.0.0.1:{port}"}}\n{auth}'
    )
    with process(
        program, "serve", folder / "registry.yml", ready=lambda: answers(port), log=folder / "registry.log"
    ) as up:
        assert up, (folder / "registry.log").read_text()[-2000:]
        yield f"localhost:{port}"


@contextmanager
def docker() -> Iterator[tuple[str, ...]]:
    """A docker engine of the test's own; yields its client's first words. Skips where none can be had."""
    import os

    client, daemon = tool("docker"), tool("dockerd")
    if os.geteuid() != 0:
        pytest.skip("dockerd needs root")
    with tempfile.TemporaryDirectory(prefix="oslet-docker-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        host = f"unix://{folder}/s"
        words = (
            *(daemon, "--data-root", folder / "data", "--exec-root", folder / "exec", "--host", host),
            *("--pidfile", folder / "pid", "--iptables=false", "--ip6tables=false", "--bridge=none"),
            "--storage-driver=vfs",
        )

        def ready() -> bool:
            return (folder / "s").exists() and not subprocess.run(
                (client, "-H", host, "version"), capture_output=True, check=False, timeout=30
            ).returncode

        with process(*words, ready=ready, log=folder / "log") as up:
            if not up:
                pytest.skip(f"dockerd doesn't start here: {(folder / 'log').read_text()[-300:]}")
            yield client, "-H", host
        subprocess.run(("umount", "-l", folder / "data"), capture_output=True, check=False)
