"""Bytes read as a row of choices, so that a mutator of bytes is a mutator of structures.

A container that is compressed, checksummed and counted rejects nearly every mutation of its bytes at the door. So an
input is a *recipe*: what to put into the container, and where to lie. Any bytes are a recipe, and near bytes make near
containers, which is what a coverage-guided mutator needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """The choices that ``data`` spells; after its end each choice is the first there is."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        return (self.take(1) or b"\0")[0]

    def take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + max(0, size)]
        self._at += len(taken)
        return taken

    def some(self) -> bytes:
        """Up to 255 bytes, whose length is the next byte."""
        return self.take(self.byte())

    def number(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def pick(self, options: Sequence[T]) -> T:
        return options[self.byte() % len(options)]

    def one_in(self, many: int) -> bool:
        """A lie or an oddity: never on the plain way of zeros."""
        return self.byte() % many == many - 1

    def rest(self) -> bytes:
        return self.take(max(0, len(self._data) - self._at))
