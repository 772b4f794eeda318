"""A project of somebody's who tests with instances: a class on a made archive, and a pytest of its own to run.

CI runs this folder twice, as root and as an ordinary user.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path

import pytest

from oslet.model.source import Debian
from oslet.run import end
from oslet.store import Store
from oslet.testing.archive import FakeArchive
from oslet.testing.makers import Made
from oslet.workspace.tools import provision

pytest_plugins = ["pytester"]

DECLARED = """
import oslet
import oslet.testing

SOURCE = oslet.Debian("trixie", pockets=(), mirror={mirror!r}, keyring={keyring!r})
SERVE = "echo started; echo {{greeting}} >/srv/box/greeting; exec busybox httpd -f -p {{port}} -h /srv/box"


class Box(oslet.Oslet):
    packages = ["box"]
    command = ["busybox", "sh", "-c", SERVE]
    ports = ["{{port}}"]
    volumes = ["/srv/box"]
    url = "http://{{host}}:{{port}}/"
    health = oslet.Tcp("{{port}}")
    source = SOURCE
    warm = oslet.Warm(snapshot="/srv/box", prepare=("busybox", "sh", "-c", "echo $RANDOM$RANDOM >/srv/box/number"))

    port: oslet.Port = 8080
    greeting: oslet.Str = "hello"


def read(url):
    import urllib.request

    return urllib.request.urlopen(url).read().decode().strip()
"""
INSTALLED = any(each.name == "oslet" for each in metadata.entry_points(group="pytest11"))

Runs = Callable[..., pytest.RunResult]


@pytest.fixture(scope="session")
def runtime_path(home: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with crun on it, got once where this machine has none."""
    if shutil.which("crun"):
        return os.environ["PATH"]
    folder = tmp_path_factory.mktemp("runtime")
    (folder / "crun").symlink_to(provision("crun", Store(home), lambda *_: None, Debian()))
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture(scope="session")
def declared(busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of a module with an oslet in it."""
    archive = FakeArchive(tmp_path_factory.mktemp("archive"))
    archive.add("box", files={"/usr/bin/busybox": Made(busybox.read_bytes(), 0o755), "/srv/box/first": "first\n"})
    archive.release()
    return DECLARED.format(mirror=str(archive.source().mirror), keyring=str(archive.source().keyring))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store for all projects, and the end of whatever serves it."""
    folder = tmp_path_factory.mktemp("store")
    yield folder
    end(folder / "instances", force=True)


@pytest.fixture
def runs(
    pytester: pytest.Pytester, declared: str, store: Path, runtime_path: str, monkeypatch: pytest.MonkeyPatch
) -> Runs:
    """Run pytest on a test module's text, in a process of its own, behind the words ``before``."""
    monkeypatch.setenv("PATH", runtime_path)
    monkeypatch.setenv("OSLET_HOME", str(store))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for name in [each for each in os.environ if each.startswith("PYTEST_XDIST")]:
        monkeypatch.delenv(name)
    pytester.makepyfile(box=declared)

    def run(text: str, *words: str, before: Sequence[str] = ()) -> pytest.RunResult:
        pytester.makepyfile(test_it=f"import oslet.testing\nfrom box import Box, read\n{text}")
        plugin = () if INSTALLED else ("-p", "oslet.testing.plugin")
        command = [*before, sys.executable, "-m", "pytest", *plugin, "-p", "no:cacheprovider", *words]
        return pytester.run(*command, timeout=300)

    return run
