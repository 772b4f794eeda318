"""The programs that stand beside instances: ``stub`` in each of them, one ``keeper`` a user. Made when the wheel is."""

from __future__ import annotations

import os
from pathlib import Path

from oslet.errors import RunError


def source(name: str) -> bytes:
    """A program that is run from its text."""
    return Path(__file__).with_name(name).read_bytes()


def program(name: str) -> Path:
    """The program of that name for this machine. RunError where it wasn't made."""
    found = Path(__file__).parent / os.uname().machine / name
    if found.is_file():
        return found
    raise RunError(
        f"this oslet has no {name} for {os.uname().machine}",
        where=str(found),
        hint="in a checkout, ./dev makes it; a wheel for this kind of machine has it",
    )
