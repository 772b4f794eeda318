"""What a declaration's checks gave, on the image and on its whole tree."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Verdict: TypeAlias = Literal["same", "different", "unsteady"]
"""Unsteady: the untrimmed image alone answers twice in two ways, so that a difference tells nothing of trimming."""


class Answer(Struct, frozen=True):
    """What one check said: an exit code or an HTTP status (-1 for no answer), and texts by name, cut to their ends."""

    code: int
    said: dict[str, str]


class Outcome(Struct, frozen=True):
    """One check's answers: of the image, and of its whole tree."""

    name: str
    way: Literal["run", "exec", "http"]
    verdict: Verdict
    trimmed: Answer
    untrimmed: Answer
