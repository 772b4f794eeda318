"""Launch: what a slot is told to become."""

from __future__ import annotations

from typing import NamedTuple


class Launch(NamedTuple):
    """What a slot is to become. ``stdio`` of None means a terminal of its own; ``lock`` are Landlock's rules for it;
    ``carried`` is one more descriptor, which it has as 4."""

    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    workdir: str
    stdio: tuple[int, int, int] | None = None
    lock: bytes = b""
    carried: int | None = None
