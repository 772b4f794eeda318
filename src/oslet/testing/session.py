"""What one pytest process has started: who uses it, what to tell of it when a test fails, and what waits."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from oslet.errors import OsletError
from oslet.testing.fixtures import Spec, specs
from oslet.testing.instances import Asked, Starter

if TYPE_CHECKING:
    from oslet.run import Parked
    from oslet.workspace.running import Running

_LINES = 200
"""How many of an instance's lines a report has."""
_BEGAN: pytest.StashKey[float] = pytest.StashKey()


class _Live(NamedTuple):
    """One instance, for as long as tests have it."""

    running: Running
    fixture: str
    spec: Spec


class Instances:
    """The instances of this process."""

    def __init__(self, config: pytest.Config) -> None:
        home = config.getoption("--oslet-home") or config.getini("oslet_home")
        self._home = (config.rootpath / Path(home).expanduser()) if home else None
        self._keep = bool(config.getoption("--oslet-keep"))
        self._timeout = float(_number(config, "oslet_timeout"))
        self._count = _number(config, "oslet_park")
        self._config = config
        self._starter = Starter(self._home, self._say)
        self._live: list[_Live] = []
        self._failed: set[str] = set()
        self._parked: dict[int, Parked] = {}
        self._lock = threading.Lock()
        self._closed = False

    # A fixture's life

    def serve(self, request: pytest.FixtureRequest, spec: Spec, needed: Mapping[str, Any]) -> Running:
        """The instance of a fixture, until that one is torn down: one that isn't healthy is there for the report."""
        until = ExitStack()
        request.addfinalizer(until.close)
        try:
            asked = self._starter.ask(spec.cls, spec.filled(needed), spec.wish)
            running = self._starter.start(asked, os.environ.get("PYTEST_XDIST_WORKER", ""))
            live = _Live(running, request.fixturename or spec.cls.__name__, spec)
            self._live.append(live)
            until.callback(self._end, live)
            if not self._keep:
                until.enter_context(self._starter.held(running))
            self._park(spec, asked)
            return running.ready(self._timeout)
        except OsletError as error:
            said = f"{spec.cls.__name__}: {error}"
        pytest.fail(said, pytrace=False)

    def _end(self, live: _Live) -> None:
        self._live.remove(live)
        if self._keep and live.running.id not in self._failed:
            live.running.remove()

    # Slots

    def expect(self, items: Sequence[pytest.Item]) -> None:
        """Make what the tests will need, beside them: images, and slots for what each test has anew."""
        wanted = {id(spec): spec for item in items for spec in specs(item) if not spec.needs}

        def make() -> None:
            for spec in wanted.values():
                with suppress(OsletError, OSError):  # its fixture says why
                    self._park(spec, self._starter.ask(spec.cls, spec.arguments, spec.wish))

        if wanted:
            threading.Thread(target=make, name="oslet", daemon=True).start()

    def _park(self, spec: Spec, asked: Asked) -> None:
        with self._lock:
            if spec.scope != "function" or self._count < 1 or self._closed or id(spec) in self._parked:
                return
            self._parked[id(spec)] = self._starter.park(asked, self._count)

    def close(self) -> None:
        """Let go of what waits."""
        with self._lock:
            self._closed = True
            for parked in self._parked.values():
                parked.close()

    # Reports

    def _say(self, line: str) -> None:
        """What takes long, for who waits: past the capture of tests' own output."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        capture = self._config.pluginmanager.get_plugin("capturemanager")
        if reporter and not self._closed and not hasattr(self._config, "workerinput"):
            with capture.global_and_fixture_disabled() if capture else nullcontext():
                reporter.ensure_newline()
                reporter.write_line(f"oslet: {line}")

    def began(self, item: pytest.Item) -> None:
        item.stash[_BEGAN] = time.time()

    def tell(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Add what the test's instances wrote while it ran to its report."""
        used = specs(item)
        for live in self._live:
            if any(live.spec is spec for spec in used):
                self._failed.add(live.running.id)
                title = f"oslet {live.fixture}: {live.running.name}"
                if not any(title == known for known, _ in report.sections):
                    report.sections.append((title, self._text(live.running, item.stash.get(_BEGAN, 0.0))))

    def _text(self, running: Running, since: float) -> str:
        from oslet.run import logs
        from oslet.workspace.watching import post_mortem

        places = self._starter.workspace.places
        try:
            seen = running.observed
            lines = [
                line.text.decode("utf-8", "replace").rstrip("\n")
                for line in logs(places.state, running.id)
                if line.time >= since
            ]
            state = seen.state if seen.exit_code is None else f"{seen.state} with {seen.exit_code}"
            text = [f"({state}; {len(lines)} lines in this test)", *lines[-_LINES:]]
            if seen.exit_code is not None:
                text += map(str, post_mortem(self._starter.workspace, running.id))
        except OsletError as error:
            text = [f"({error})"]
        if self._keep:
            home = f"OSLET_HOME={self._home} " if self._home else ""
            text.append(f"kept: {home}oslet exec|logs {running.name}; oslet rm --force {running.name} ends it")
        return "\n".join(text)


def _number(config: pytest.Config, name: str) -> int:
    written = config.getini(name)
    if not str(written).isdecimal():
        raise pytest.UsageError(f"{name} = {written!r} is no number")
    return int(written)
