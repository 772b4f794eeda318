"""Every error a caller can catch, drawn as a tree.

    OsletError                   exit code 1
    ├── DeclarationError         2   the declaration or an argument is wrong; carries every fault found
    ├── ResolveError             3   the request has no answer in this source
    ├── IntegrityError           4   bytes are not what was signed, locked or stored
    ├── BuildError               5   a step of a build can't be done as declared
    ├── RunError                 6   an instance can't be started, found or reached
    └── NetworkError             7   a registry or mirror can't be reached or refused

Each says what is wrong, where, and what to do, in at most a dozen lines.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_LINES = 12


class Fault(NamedTuple):
    """One thing that is wrong: a sentence, its place (``file:line: key``), and what to do about it."""

    what: str
    where: str = ""
    hint: str = ""

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.hint}" if self.hint else head


class OsletError(Exception):
    """The root of all errors that oslet raises on purpose."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        self.faults: tuple[Fault, ...] = (Fault(what, where, hint),)
        super().__init__(what)

    @property
    def what(self) -> str:
        return self.faults[0].what

    @property
    def where(self) -> str:
        return self.faults[0].where

    @property
    def hint(self) -> str:
        return self.faults[0].hint

    def __str__(self) -> str:
        lines = [line for fault in self.faults for line in str(fault).splitlines()]
        if len(lines) > MAX_LINES:
            lines = [*lines[: MAX_LINES - 1], f"… and {len(lines) - MAX_LINES + 1} lines more"]
        return "\n".join(lines)


class DeclarationError(OsletError):
    exit_code = 2

    @classmethod
    def of(cls, faults: list[Fault]) -> DeclarationError:
        """One error that carries every fault of a declaration, in the order they stand in it."""
        error = cls(faults[0].what, where=faults[0].where, hint=faults[0].hint)
        error.faults = tuple(faults)
        return error


class ResolveError(OsletError):
    exit_code = 3


class IntegrityError(OsletError):
    exit_code = 4


class BuildError(OsletError):
    exit_code = 5


class RunError(OsletError):
    exit_code = 6


class NetworkError(OsletError):
    exit_code = 7
