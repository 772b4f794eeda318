"""Foreground: an instance that lives as long as its caller, whose streams, signals and exit code it has."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from oslet.model.instance import Arguments
from oslet.run import attaching, living, records, starting
from oslet.run.asking import Places, Sealed, Wish
from oslet.run.monitor import Stdio
from oslet.run.tools import Tools

if TYPE_CHECKING:
    from oslet.model.watch import Watched


class Ending(NamedTuple):
    """How an instance in the foreground ended: its exit code, the last it wrote to standard error (nothing where that
    is a terminal of its own), and what it used if it was watched."""

    code: int
    said: str
    watched: Watched | None


def _unheard(ending: Ending) -> None:
    """For who doesn't want to be told."""


def run(
    sealed: Sealed,
    arguments: Arguments,
    wish: Wish,
    tools: Callable[[], Tools],
    places: Places,
    stdio: Stdio | None = None,
    *,
    notice: Callable[[str], None] = starting.silent,
    ending: Callable[[Ending], None] = _unheard,
) -> int:
    """Start an instance, be it until it ends, and leave nothing of it; the application's own exit code.

    A signal that comes while it starts is the application's too, and waits for it. ``ending`` is told of its end.
    """
    request = starting.request(sealed, arguments, wish._replace(remove=True), places, attached=True)
    with (
        attaching.signals() as deliver,
        attaching.streams(stdio, wish.tty, heard=True) as streams,
        attaching.attached(places.state, request, streams, tools) as began,
    ):
        if began.notice:
            notice(began.notice)
        number = began.instance.id

        def send(signal: int) -> None:
            with suppress(Exception):
                living.send(places.state, number, str(signal))

        deliver(send)
        code = streams.relay(began)
        ending(Ending(code, streams.said.decode("utf-8", "replace"), _watched(places, number)))
        living.remove(places.state, number, force=True)
    return code


def _watched(places: Places, number: str) -> Watched | None:
    """What a watched instance used, once its watcher has written everything."""
    folder, record = records.find(places.state, number)
    if not record.watcher:
        return None
    from oslet.run import watching

    watching.finish(record.watcher)
    return watching.read(folder)
