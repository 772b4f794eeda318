"""Targets as people write them: ``catalog:NAME`` stands for a class of the catalog."""

from __future__ import annotations

import sys
from pathlib import Path

SHELF = "catalog:"


def spelled(target: str) -> str:
    """The target with a short name of the catalog written out as ``MODULE:CLASS``. DeclarationError if there is none of
    that name.

    A class of one's own is looked for in the current folder first, as ``python -m`` does.
    """
    if not target.startswith(SHELF):
        if ":" in target and (here := str(Path.cwd())) not in sys.path:
            sys.path.insert(0, here)
        return target
    from oslet.catalog.shelf import find

    return f"oslet.catalog:{find(target.removeprefix(SHELF))}"


def shelf() -> list[str]:
    """The catalog's short names, as targets."""
    from oslet.catalog.shelf import NAMES

    return [f"{SHELF}{name}" for name in NAMES]
