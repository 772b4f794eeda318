"""Starting: an image and its arguments become an instance. The supervisor makes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oslet.errors import RunError
from oslet.model.instance import Arguments, Instance, Secret
from oslet.run import client, volumes, wire
from oslet.run.asking import Places, Sealed, Wish
from oslet.run.tools import Tools


def silent(notice: str) -> None:
    """For who doesn't want to be told what a start made do without."""


def start(
    sealed: Sealed,
    arguments: Arguments,
    wish: Wish,
    tools: Callable[[], Tools],
    places: Places,
    *,
    notice: Callable[[str], None] = silent,
) -> Instance:
    """A detached instance, running when this returns; what it writes goes to files. ``tools`` are asked for when a
    supervisor has to be started.

    RunError when it can't be made; one that ends at once is no error, it is an instance that ended. ``notice`` is
    told, in a line for a person, what this machine doesn't let the instance have.
    """
    reply = client.ask(places.state, request(sealed, arguments, wish, places), tools=tools)
    if not isinstance(reply, wire.Started):
        raise RunError("the supervisor answered something else", where=type(reply).__name__)
    if reply.notice:
        notice(reply.notice)
    return reply.instance


def park(
    sealed: Sealed, arguments: Arguments, wish: Wish, tools: Callable[[], Tools], places: Places, count: int
) -> None:
    """Have ``count`` slots wait for starts like this one, until it is said anew; returns once they do."""
    client.ask(places.state, wire.Park(request(sealed, arguments, wish, places), count), tools=tools)


def waiting(state: Path) -> dict[str, int]:
    """How many slots wait, by image; none where no supervisor was ever started, or none is now."""
    if not (state / client.SOCKET).exists():
        return {}
    reply = client.ask(state, wire.Ask())
    return {image: count for image, count in reply.slots.items() if count} if isinstance(reply, wire.Waiting) else {}


def request(sealed: Sealed, arguments: Arguments, wish: Wish, places: Places, *, attached: bool = False) -> wire.Start:
    return wire.Start(
        image=sealed.digest,
        tree=sealed.tree,
        root=str(sealed.root),
        store=str(places.store),
        data=str(places.data),
        arguments=plain(arguments.values),
        wish=wish._replace(volumes=volumes.absolute(wish.volumes)),
        token=os.urandom(8).hex(),
        attached=attached,
    )


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values as they cross the socket to the same user's supervisor: secrets as what they are."""
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in values.items()}
