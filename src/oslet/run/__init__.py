"""Instances: one image running with its arguments, made by a well-kept OCI runtime, with no daemon behind it.

The sentences of a start stand in ``starting.launch``; what runs, in ``records``; ids, in ``ids``; what the OCI runtime
is told, in ``config``; the shell that watches over one instance, in ``enter.sh``.
"""

from oslet.run.entering import execute
from oslet.run.foreground import run
from oslet.run.health import await_healthy, healthy
from oslet.run.limits import Limits
from oslet.run.living import Line, Stats, inspect, logs, prune, remove, send, stats, stop, wait
from oslet.run.records import find, instances
from oslet.run.starting import Places, Sealed, Wish, start
from oslet.run.tools import Tools
from oslet.run.volumes import remove as remove_volume

__all__ = [
    "Limits",
    "Line",
    "Places",
    "Sealed",
    "Stats",
    "Tools",
    "Wish",
    "await_healthy",
    "execute",
    "find",
    "healthy",
    "inspect",
    "instances",
    "logs",
    "prune",
    "remove",
    "remove_volume",
    "run",
    "send",
    "start",
    "stats",
    "stop",
    "wait",
]
