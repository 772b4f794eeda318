"""How a reading ends early: not understood, or the script's own exit, return, break and continue."""

from __future__ import annotations


class Unreadable(Exception):  # noqa: N818
    """A place that isn't understood: the file, the line (from 1), its text, and why."""

    def __init__(self, source: str, line: int, text: str, why: str) -> None:
        super().__init__(why)
        self.source, self.line, self.text, self.why = source, line, text, why


class Exit(Exception):  # noqa: N818
    """The script ends with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Return(Exit):
    """A function, or a file that is read with ``.``, ends with this status."""


class Loop(Exception):  # noqa: N818
    """``break`` or ``continue``, through so many loops."""

    def __init__(self, *, again: bool, levels: int) -> None:
        super().__init__(levels)
        self.again, self.levels = again, levels
