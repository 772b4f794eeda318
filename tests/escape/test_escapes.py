"""Escapes: what is tried from inside an instance, and what comes of it. docs/security.md has the table."""

from __future__ import annotations

import pytest

from ..run.conftest import Toy
from .conftest import WAYS
from .probes import read

pytestmark = [pytest.mark.slow, pytest.mark.network]

CONTAINED = {"hosts_root", "packet"}
"""What works, and reaches only what is the instance's own. All else is refused."""


@pytest.mark.parametrize("way", WAYS)
def test_nothing_gets_out(world: Toy, heard: str, way: str) -> None:
    said = read(WAYS[way](world, "/bin/probes", heard))
    for n, v in said.items(): print(n, v)
    assert len(said) > 60
    assert {name for name, each in said.items() if each.outcome == "open"} == set()
    assert {name for name, each in said.items() if each.outcome == "contained"} <= CONTAINED
