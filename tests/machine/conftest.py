"""What machines are made with: the tools that oslet provisions, in the run's own store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from oslet.workspace import Workspace
from oslet.workspace.machines import tool


@pytest.fixture(scope="session")
def tools(home: Path) -> Callable[..., str]:
    """``tools(PACKAGE, PROGRAM)``: a provisioned program's path."""
    workspace = Workspace(home)
    return lambda package, program="": str(tool(workspace, package, program))
