"""What a watched instance asked its file system for."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

How: TypeAlias = Literal["opened", "listed", "run", "linked", "looked", "changed", "entered", "filled"]
"""The ways to use a path: its content was read, or its names (a folder); it was executed; it was a link on the way;
somebody asked whether and what it is; its name, mode or owner was changed; it became the working folder; something
new was made in it."""


class Use(Struct, frozen=True):
    """One path of the whole tree that was used: in which ways, first by which process (``pid`` as this machine
    counts) and when (POSIX seconds), and how often."""

    path: str
    how: tuple[How, ...]
    process: str
    pid: int
    first: float
    count: int


class Beyond(Struct, frozen=True):
    """A system call that was made though no file of the image is seen to make it: first by which process and when."""

    name: str
    process: str
    pid: int
    first: float
    count: int


class Watched(Struct, frozen=True):
    """What one instance used, by path; ``ended`` once there is no more to come.

    ``image`` is the digest of the image whose whole tree, kept and dropped, the instance ran on; empty where
    paths weren't watched. ``beyond`` is None where system calls weren't.
    """

    image: str
    uses: tuple[Use, ...] = ()
    ended: bool = False
    beyond: tuple[Beyond, ...] | None = None


class Trace(Struct, frozen=True):
    """The paths that a workload used, sorted, and the digest of the lock whose packages they came from."""

    lock: str
    used: tuple[str, ...] = ()
