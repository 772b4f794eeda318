"""Starting: an image and its arguments become an instance. The supervisor makes it."""

from __future__ import annotations

import os
import socket
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


class Parked:
    """Slots that wait for starts like one's own until ``close``, or until this process is gone."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def __enter__(self) -> Parked:
        client.answer(self._connection)
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()


def parked(
    sealed: Sealed, arguments: Arguments, wish: Wish, tools: Callable[[], Tools], places: Places, count: int
) -> Parked:
    """Have ``count`` slots made that wait; as a context manager, wait for them first."""
    connection = client.connect(places.state, tools)
    wire.send(connection, wire.Park(request(sealed, arguments, wish, places), count, held=True))
    return Parked(connection)


def hold(places: Places, id: str) -> socket.socket:  # noqa: A002
    """What an instance is held by: it is killed and removed when this is closed, or this process is gone."""
    connection = client.connect(places.state)
    wire.send(connection, wire.Wait(id, attached=True, grace=0))
    return connection


def clone_volume(places: Places, source: str, target: str, tools: Callable[[], Tools]) -> None:
    """Make the volume ``target`` a copy of the volume (or folder, a path) ``source``: there whole or not at all.
    RunError if there is one of that name, or an instance uses the other."""
    begins, ends = volumes.folder(source, places.data), volumes.folder(target, places.data)
    if not begins.is_dir():
        raise RunError(f"there is no volume {source!r}", hint="oslet volumes lists them")
    if ends.parent != places.data:
        raise RunError(f"{target!r} is no volume's name", hint="a name without a slash")
    client.ask(places.state, wire.Copy(str(begins), str(ends), str(places.data)), tools=tools)


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
