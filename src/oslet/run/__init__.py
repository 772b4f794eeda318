"""Instances: one image running with its arguments, made by a well-kept OCI runtime, in slots that wait for them.

A caller's words are in ``asking``; they go over ``wire`` to the supervisor (``supervisor/``), which ``client`` finds or
starts. What runs is told by ``records``, without asking anybody. The room's words are loaded when they are first used:
a build asks for ids alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oslet.run.asking import Clone as Clone
    from oslet.run.asking import Places as Places
    from oslet.run.asking import Sealed as Sealed
    from oslet.run.asking import Wish as Wish
    from oslet.run.client import end as end
    from oslet.run.entering import execute as execute
    from oslet.run.foreground import Ending as Ending
    from oslet.run.foreground import run as run
    from oslet.run.health import await_healthy as await_healthy
    from oslet.run.health import healthy as healthy
    from oslet.run.limits import Limits as Limits
    from oslet.run.living import Stats as Stats
    from oslet.run.living import inspect as inspect
    from oslet.run.living import remove as remove
    from oslet.run.living import restart as restart
    from oslet.run.living import send as send
    from oslet.run.living import stats as stats
    from oslet.run.living import stop as stop
    from oslet.run.living import wait as wait
    from oslet.run.output import Line as Line
    from oslet.run.output import logs as logs
    from oslet.run.records import find as find
    from oslet.run.records import instances as instances
    from oslet.run.starting import Parked as Parked
    from oslet.run.starting import clone_volume as clone_volume
    from oslet.run.starting import hold as hold
    from oslet.run.starting import park as park
    from oslet.run.starting import parked as parked
    from oslet.run.starting import start as start
    from oslet.run.tools import Tools as Tools
    from oslet.run.volumes import remove_volume as remove_volume

_PLACES = {
    "entering": "execute",
    "foreground": "Ending run",
    "health": "await_healthy healthy",
    "limits": "Limits",
    "living": "Stats inspect remove restart send stats stop wait",
    "output": "Line logs",
    "records": "find instances",
    "asking": "Clone Places Sealed Wish",
    "client": "end",
    "starting": "Parked clone_volume hold park parked start",
    "tools": "Tools",
    "volumes": "remove_volume",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for place, names in _PLACES.items():
        if name in names.split():
            module = import_module(f"{__name__}.{place}")
            return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
