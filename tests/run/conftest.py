"""A toy system: busybox and a few folders, as a tree value and on disk, for instances that start in milliseconds.

CI runs this folder twice, as root and as an ordinary user: ids, mounts and networks differ between the two.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from msgspec import structs

from oslet.model.image import Image
from oslet.model.instance import Arguments, Instance
from oslet.model.oslet import Start
from oslet.model.tree import Entry, Tree
from oslet.run import Places, Sealed, Tools, Wish, end, instances, remove, run, start
from oslet.run.ids import store_owner
from oslet.run.monitor import Stdio
from oslet.store import Store

SERVICE = 999
APPLETS = (
    "sh",
    "cat",
    "chown",
    "echo",
    "head",
    "hostname",
    "httpd",
    "id",
    "kill",
    "ls",
    "mkdir",
    "nc",
    "ps",
    "rm",
    "sleep",
    "stat",
    "touch",
    "yes",
)
PLAIN = Wish()
FOLDERS = ("/bin", "/etc", "/run", "/tmp", "/var", "/var/lib", "/var/lib/toy", "/srv")


class Toy(NamedTuple):
    """The toy system on disk, and where its instances are."""

    root: Path
    tools: Tools
    places: Places
    entries: tuple[Entry, ...]

    def sealed(self, *command: str, more: tuple[Entry, ...] = (), **image: Any) -> Sealed:
        contract = {f: image.pop(f) for f in Start.__struct_fields__ if f in image}
        contract.setdefault("network", "none")
        entries = {e.path: e for e in (*self.entries, *more)}
        value = Image(
            name="toy", arch="amd64", plan="", tree="", lock="", start=Start(command=command, **contract),
            **{"params": (), "rendered": (), "files": 1, "size": 1, "uid": SERVICE, "gid": SERVICE, **image},
        )  # fmt: skip
        store = Store(self.places.store)
        tree = store.save(Tree(tuple(entries[p] for p in sorted(entries))))
        value = structs.replace(value, tree=tree)
        return Sealed(value, store.save(value), tree, self.root)

    def start(
        self, *command: str, wish: Wish = PLAIN, arguments: dict[str, Any] | None = None, **more: Any
    ) -> Instance:
        return start(self.sealed(*command, **more), Arguments(arguments or {}), wish, lambda: self.tools, self.places)

    def run(
        self,
        *command: str,
        stdin: bytes = b"",
        wish: Wish = PLAIN,
        arguments: dict[str, Any] | None = None,
        **more: Any,
    ) -> tuple[int, str, str]:
        """Run in the foreground: exit code, standard output, standard error."""
        files = [os.memfd_create(n) for n in ("stdin", "stdout", "stderr")]
        try:
            os.pwrite(files[0], stdin, 0)
            bound = Arguments(arguments or {})
            code = run(self.sealed(*command, **more), bound, wish, lambda: self.tools, self.places, Stdio(*files))
            out, err = (os.pread(f, 1 << 20, 0).decode() for f in files[1:])
            return code, out, err
        finally:
            for file in files:
                os.close(file)


@pytest.fixture(scope="session")
def laid(busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Entry, ...]]:
    root = tmp_path_factory.mktemp("toy") / "root"
    root.mkdir()
    for place in FOLDERS:
        (root / place[1:]).mkdir()
    shutil.copyfile(busybox, root / "bin/busybox")
    (root / "bin/busybox").chmod(0o755)
    (root / "etc/kept").write_text("of the image\n")
    (root / "var/lib/toy/first").write_text("first\n")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "var/run").symlink_to("/run")
    entries = [Entry(p, "dir", 0o1777 if p == "/tmp" else 0o755) for p in FOLDERS]
    entries += [Entry(f"/bin/{a}", "link", 0o777, target="busybox") for a in APPLETS]
    entries += [Entry("/bin/busybox", "file", 0o755), Entry("/etc/kept", "file", 0o644)]
    entries += [Entry("/var/lib/toy/first", "file", 0o644), Entry("/var/run", "link", 0o777, target="/run")]
    owner = store_owner()
    if owner is not None:
        for path in (root, *root.rglob("*")):
            os.chown(path, owner, owner, follow_symlinks=False)
    return root, tuple(entries)


@pytest.fixture(scope="session")
def tools(home: Path) -> Tools:
    """What instances are made with: the machine's, or else what oslet gets from the archive."""
    slirp = shutil.which("slirp4netns")
    runtime = shutil.which("crun")
    if runtime is None:
        from oslet.model.source import Debian
        from oslet.store import Store
        from oslet.workspace.tools import provision

        return Tools(provision("crun", Store(home), lambda *_: None, Debian()), Path(slirp) if slirp else None)
    return Tools(Path(runtime), Path(slirp) if slirp else None)


@pytest.fixture
def toy(laid: tuple[Path, tuple[Entry, ...]], tools: Tools, tmp_path: Path) -> Iterator[Toy]:
    """The toy, with places of its own; fails the test that leaves an instance's process or folder behind."""
    places = Places(tmp_path / "state", tmp_path / "data", tmp_path / "store")
    root, entries = laid
    yield Toy(root, tools, places, entries)
    for instance in instances(places.state):
        remove(places.state, instance.id, force=True)
    end(places.state)
    purge(places)
    assert not list((places.state / "instances").glob("*")) if places.state.exists() else True


def purge(places: Places) -> None:
    """Volumes may belong to subordinate ids, which only their namespace can remove."""
    from oslet.run.volumes import remove_folder

    for folder in places.data.glob("*") if places.data.exists() else ():
        remove_folder(folder)


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
