"""What the reading of one script may take: a script is foreign, and a few lines can ask for anything."""

from __future__ import annotations

import time

MAX_STEPS = 50_000
MAX_CHARACTERS = 32 << 20
MAX_SECONDS = 5.0
"""Statements, characters handled, and seconds of this thread; a script of a package takes milliseconds."""


class Budget:
    """What is left, for a script and all that it calls."""

    def __init__(self) -> None:
        self.steps = MAX_STEPS
        self._characters = MAX_CHARACTERS
        self._until = time.thread_time() + MAX_SECONDS

    def allows(self, characters: int) -> bool:
        """Takes off so many characters; False once they or the time are used up."""
        self._characters -= characters
        return self._characters >= 0 and time.thread_time() < self._until
