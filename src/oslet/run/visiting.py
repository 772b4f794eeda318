"""Visiting: tools beside a running instance, which is not changed by that. What they are started with, and where they
are, is ``supervisor/visiting.py``'s."""

from __future__ import annotations

import os

from oslet.model.instance import Arguments
from oslet.run import attaching, starting, wire
from oslet.run.asking import Places, Sealed, Wish
from oslet.run.monitor import Stdio


def visit(places: Places, ref: str, tools: Sealed, wish: Wish, stdio: Stdio | None = None) -> int:
    """Run ``tools`` (or the wish's command of theirs) in an instance's pid, network, ipc and host name namespaces, with
    a root of their own and the instance's at ``/instance``; the exit code. RunError if they can't be run."""
    env = ((("TERM", os.environ.get("TERM", "xterm")),) if wish.tty else ()) + wish.env
    request = wire.Visit(ref, starting.request(tools, Arguments({}), wish._replace(env=env), places, attached=True))
    with (
        attaching.signals() as deliver,
        attaching.streams(stdio, wish.tty) as streams,
        attaching.attached(places.state, request, streams) as began,
    ):
        deliver(lambda number: attaching.signal_process(began.instance.pid, number))
        return streams.relay(began)
