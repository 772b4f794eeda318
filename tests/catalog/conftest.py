"""What tests of the catalog share: an instance and what a client connects with, ended and forgotten after."""

from __future__ import annotations

import importlib.util
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol

import pytest

from oslet import Oslet, RunError
from oslet.bind import url_with
from oslet.run import Wish, remove_volume
from oslet.workspace import Workspace
from oslet.workspace.running import Running


class Served(NamedTuple):
    running: Running
    url: str

    def end(self) -> int:
        """Stop it and take it away, its volumes kept; its exit code."""
        code = self.running.stop()
        self.running.remove()
        return code


class Serve(Protocol):
    def __call__(
        self, bound: Oslet, name: str = "", command: tuple[str, ...] = (), volumes: dict[str, str] | None = None
    ) -> Served: ...


@pytest.fixture
def serve(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a bound oslet on the machine's network and wait until it is healthy; one of the same name, in the same
    test, has the same volumes."""
    monkeypatch.setenv("OSLET_HOME", str(home))
    test, started, names = secrets.token_hex(4), list[Served](), set[str]()

    def start(
        bound: Oslet, name: str = "", command: tuple[str, ...] = (), volumes: dict[str, str] | None = None
    ) -> Served:
        names.add(own := f"catalog-{test}-{name or len(names)}")
        running = bound.start(Wish(name=own, network="host", command=command, volumes=volumes or {}))
        built = type(bound).build()
        started.append(served := Served(running, url_with(built.image.start, bound.arguments, "127.0.0.1")))
        if command:
            assert running.wait(60) == 0, running.logs()
        else:
            running.ready()
        return served

    yield start
    for served in started:
        with suppress(RunError):
            served.running.stop(grace=2)
        with suppress(RunError):
            served.running.remove()
    for name in names:
        with suppress(RunError):
            remove_volume(Workspace().places.data, name)


Port = Callable[[], int]


def module(file: Path, text: str) -> ModuleType:
    """A module that stands in a folder of its own, as a user's does."""
    file.write_text(text)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec and spec.loader
    loaded = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
