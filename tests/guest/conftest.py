"""A guest for a test, under each VMM that is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guest.world import VMMS, Guest, Vmm


@pytest.fixture(params=VMMS)
def guest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Guest:
    vmm: Vmm = request.param
    folder: Path = tmp_path_factory.mktemp("g")
    return Guest(folder, vmm)
