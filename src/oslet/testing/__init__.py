"""For tests: instances as pytest's fixtures and as context managers; makers and fakes of what oslet reads.

Each name is loaded when it is first used, since pytest imports this room wherever oslet is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oslet.run import Wish as Wish
    from oslet.testing.fixtures import fixture as fixture
    from oslet.testing.instances import fresh as fresh
    from oslet.workspace.running import Running as Running

_PLACES = {
    "fixture": "oslet.testing.fixtures",
    "fresh": "oslet.testing.instances",
    "Wish": "oslet.run",
    "Running": "oslet.workspace.running",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value
