"""The real archive: both architectures, an expired suite, and apt as the oracle."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from oslet.archive import debian
from oslet.archive.transport import HttpTransport
from oslet.errors import IntegrityError
from oslet.model.lock import Arch
from oslet.model.oslet import Wants
from oslet.model.source import Debian
from oslet.solve import lock
from oslet.store import Store

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.mark.parametrize(("suite", "arch"), [("trixie", "amd64"), ("bookworm", "arm64")])
def test_nginx(store: Store, suite: str, arch: Arch) -> None:
    source = Debian(suite)
    index = debian.index(source, arch, store, HttpTransport())
    packages = lock(Wants(("nginx",)), source, index, arch)
    assert {"nginx", "libc6"} <= {p.name for p in packages}
    assert {p.arch for p in packages} <= {arch, "all"}
    small = min(packages, key=lambda p: p.size)
    assert debian.fetch((small,), source, store, HttpTransport())[small.name].stat().st_size == small.size


def test_a_suite_past_its_date(store: Store) -> None:
    source = Debian("trixie", pockets=("updates",))
    with pytest.raises(IntegrityError, match="expired on"):
        debian.index(source, "amd64", store, HttpTransport(), clock=lambda: time.time() + 90 * 86400, refresh=True)


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt is the oracle")
def test_as_apt_has_it(store: Store, tmp_path: Path) -> None:
    from bench.apt_agreement import compare, differences

    source = Debian("trixie", pockets=())
    compared, _ = compare(source, store, tmp_path / "apt", requests=60, seed=60)
    assert [f"{one.names}: {word}" for word, one in differences(compared)] == []
