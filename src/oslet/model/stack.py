"""The stack: several oslets that are started together, with what they need of each other."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from oslet.model.oslet import Oslet

Until: TypeAlias = Literal["started", "healthy", "done"]
"""How far another member has to be: it runs; its health check passes; it has ended with exit code 0."""


class Need(Struct, frozen=True):
    """Another member of the stack, and how far that one has to be before this one starts."""

    member: str
    until: Until = "healthy"


class Given(Struct, frozen=True):
    """What a member is started with, as written: texts may hold references to other members (``{db.url}``).

    A secret is written as where it is: ``@FILE`` (beside the stack) or ``env:NAME``. ``build`` are for the params that
    are filled when an image is built, and hold no references.
    """

    arguments: tuple[tuple[str, Any], ...] = ()
    build: tuple[tuple[str, Any], ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()


class Doors(Struct, frozen=True):
    """What of this machine and of the network a member has.

    ``publish`` are ports as Docker's ``-p`` writes them; ``volumes`` map a path inside to a folder (absolute, or begun
    with a dot) or to the name of a volume of the stack. ``network`` is the stack's when empty. ``allow`` as a start's.
    """

    publish: tuple[str, ...] = ()
    volumes: tuple[tuple[str, str], ...] = ()
    network: str = ""
    allow: tuple[str, ...] | None = None


class Share(Struct, frozen=True):
    """What a member may use of this machine: bytes, processors, processes. None is no limit."""

    memory: int | None = None
    cpus: float | None = None
    pids: int | None = None


class Member(Struct, frozen=True):
    """One oslet of a stack, by its name there, which is also its name on the stack's network.

    Its image is what ``target`` means, or else what is ``declared`` in place. ``wait`` says whether the stack counts
    as up only when this one is healthy.
    """

    name: str
    target: str = ""
    declared: Oslet | None = None
    given: Given = Given()
    doors: Doors = Doors()
    share: Share = Share()
    restart: Literal["no", "on-failure", "always"] = "no"
    needs: tuple[Need, ...] = ()
    wait: bool = True


class Stack(Struct, frozen=True):
    """Several oslets by name. ``network`` is the one that members are on unless they say another."""

    name: str
    members: tuple[Member, ...]
    network: str = ""


class Move(Struct, frozen=True):
    """What bringing a stack up does to one member, and why."""

    member: str
    what: Literal["start", "keep", "replace", "stop"]
    why: str


class Membership(Struct, frozen=True):
    """Which member of which stack an instance is.

    ``rank`` says when it is started: after all of a lower rank. ``marks`` tell, part by part, whether it is still what
    a stack asks for; they tell nothing of what they were made from.
    """

    group: str
    member: str
    rank: int = 0
    marks: tuple[tuple[str, str], ...] = ()
