"""Debian versions: their order (deb-version(7)), as a key that tuples compare by."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TypeAlias

Key: TypeAlias = tuple[int, tuple[object, ...], tuple[object, ...]]

MAX_VERSION = 256
"""Characters of the longest version that is read; digits beyond it could make comparing slow."""

_RUN = re.compile(r"([^0-9]*)([0-9]*)")


@lru_cache(maxsize=1 << 16)
def key(version: str) -> Key:
    """What ``version`` sorts by. Raises ValueError when the version is too long or its epoch is no number."""
    if len(version) > MAX_VERSION:
        raise ValueError(f"a version of {len(version)} characters")
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    elif not (epoch.isascii() and epoch.isdigit()):
        raise ValueError(f"{version!r} has no number before its colon")
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return int(epoch), _part(upstream), _part(revision)


def _part(text: str) -> tuple[object, ...]:
    """Runs of non-digits and digits by turns. A missing number counts as 0, and the end comes after a tilde only."""
    runs: list[object] = []
    for other, digits in _RUN.findall(text or "0"):
        if other or digits:
            runs.append((*map(_order, other), 0))
            runs.append(int(digits or 0))
    runs.append((0,))
    return tuple(runs)


def _order(char: str) -> int:
    """Tilde sorts before the end (0), letters after it, all else after letters."""
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256


def compare(a: str, b: str) -> int:
    """-1, 0 or 1 as ``a`` is older than, the same as or newer than ``b``."""
    ka, kb = key(a), key(b)
    return (ka > kb) - (ka < kb)


def satisfies(version: str, operator: str, wanted: str) -> bool:
    """Whether ``version operator wanted`` holds; ``operator`` is one of ``<< <= = >= >>``, or empty for any version."""
    if not operator:
        return True
    order = compare(version, wanted)
    if operator == "=":
        return order == 0
    if operator == ">=":
        return order >= 0
    if operator == "<=":
        return order <= 0
    return order > 0 if operator == ">>" else order < 0
