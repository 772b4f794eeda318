"""A guest for a test: user-mode Linux's, which starts in a twentieth of a second; an emulated processor takes seconds.

QEMU has the tests that say ``BOTH``, and with OSLET_TEST_VMMS=all, which CI doesn't set, each of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ..monitors import Monitors
from .world import USUAL, Guest, Vmm


@pytest.fixture(params=USUAL)
def vmm(request: pytest.FixtureRequest) -> Vmm:
    named: Vmm = request.param
    return named


@pytest.fixture
def guest(vmm: Vmm, monitors: Monitors, busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> Guest:
    return Guest(tmp_path_factory.mktemp("g"), vmm, monitors, busybox)
