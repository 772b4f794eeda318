"""What the tests of the supply chain share."""

from __future__ import annotations

import pytest

from .world import World, world


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(tmp_path_factory.mktemp("supply"))
