"""Arguments and instances."""

from __future__ import annotations

from typing import Any, Literal, NoReturn

from msgspec import Struct


class Secret:
    """A value that can be used (``reveal``) but not shown: not printed, formatted, pickled, serialised or logged."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __str__(self) -> str:
        return "…"

    def __format__(self, spec: str) -> str:
        return format("…", spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return object.__hash__(Secret)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret can't be pickled or copied out of its process")

    def __bool__(self) -> bool:
        return bool(self._value)


class Arguments(Struct, frozen=True):
    """Values for an image's params, checked against their kinds, in declaration order; every param is present.

    ``separators`` are what stands between the items of each list param that says so; a comma for the others.
    """

    values: dict[str, Any]
    separators: dict[str, str] = {}


class Instance(Struct, frozen=True):
    """One running image with its arguments, as last observed. Times are POSIX seconds; ``group`` is its stack,
    ``vmm`` what it runs in as a microVM."""

    id: str
    name: str
    image: str
    image_name: str
    state: Literal["running", "restarting", "exited"]
    ports: tuple[int, ...]
    created: float
    pid: int = 0
    exit_code: int | None = None
    ended: float | None = None
    restarts: int = 0
    health: str = ""
    group: str = ""
    vmm: str = ""
