"""A toy system with the attempts in it, and ways to start them."""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from oslet.model.tree import Entry
from oslet.run import Wish, execute, logs, wait
from oslet.run.ids import store_owner
from oslet.run.monitor import Stdio

from ..run.conftest import Toy, laid, tools, toy  # noqa: F401 (fixtures)
from .probes import program

How: TypeAlias = Callable[..., str]
"""Starts a command in an instance of a toy, in one of the ways there are; what it printed."""


@pytest.fixture
def world(toy: Toy, tmp_path: Path) -> Toy:  # noqa: F811
    """The toy, with the attempts as /bin/probes, and as a set-id program of root's as /bin/setid."""
    root = tmp_path / "root"
    shutil.copytree(toy.root, root, symlinks=True)
    for name in ("probes", "setid"):
        shutil.copyfile(program(), root / "bin" / name)
        (root / "bin" / name).chmod(0o755)
    if (owner := store_owner()) is not None:
        for path in (root, *root.rglob("*")):
            os.chown(path, owner, owner, follow_symlinks=False)
    more = (Entry("/bin/probes", "file", 0o755), Entry("/bin/setid", "file", 0o4755))
    return toy._replace(root=root, entries=(*toy.entries, *more))


@pytest.fixture
def heard() -> Iterator[str]:
    """The name of an abstract socket on which this machine listens."""
    name = f"oslet-{uuid.uuid4().hex}"
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(f"\0{name}")
        door.listen()
        yield name


def attached(world: Toy, *command: str, **more: Any) -> str:
    return world.run(*command, **more)[1]


def detached(world: Toy, *command: str, **more: Any) -> str:
    instance = world.start(*command, **more)
    wait(world.places.state, instance.id)
    return b"".join(line.text for line in logs(world.places.state, instance.id)).decode()


def parked(world: Toy, *command: str, **more: Any) -> str:
    """The second of two starts alike: there is a slot for it."""
    detached(world, "echo", **more)
    return detached(world, *command, **more)


def within(world: Toy, *command: str, **more: Any) -> str:
    """A further command in an instance that runs already."""
    instance = world.start("sleep", "1000", **more)
    null, out = os.open("/dev/null", os.O_RDWR), os.memfd_create("out")
    try:
        execute(world.places.state, instance.id, command, stdio=Stdio(null, out, null))
        return os.pread(out, 1 << 20, 0).decode()
    finally:
        os.close(null)
        os.close(out)


WAYS: dict[str, How] = {"attached": attached, "detached": detached, "parked": parked, "within": within}
PLAIN = Wish()
