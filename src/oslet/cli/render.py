"""How values look to people. This module alone knows rich, and imports it only when it draws."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from oslet.codec import canonical

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is (0 when not known)."""

QUIET_FOR = 1.0
"""Seconds before progress shows itself."""


def data(text: str) -> None:
    """One line of data, on stdout."""
    print(text, flush=True)


def talk(text: str) -> None:
    """One line for the person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def as_json(value: Any) -> None:
    """One value as one line of JSON, on stdout."""
    data(canonical(value).decode())


def size(count: float) -> str:
    """Bytes for people, in powers of 1024."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def ago(when: float) -> str:
    """How long ago ``when`` (POSIX seconds) was."""
    seconds = max(0, int(time.time() - when))
    for length, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' * (count > 1)} ago"
    return f"{seconds} s ago"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Aligned columns under their names; columns of figures start with ``>``, to align right."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        grid.add_column(name.lstrip(">").upper(), justify="right" if name[0] == ">" else "left", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False, emoji=False)
    console.print(grid)


@contextmanager
def progress() -> Iterator[Progress]:
    """A listener for long work: silent for a second, then a live line on a terminal, else a line a stage.

    What begins within that second and lasts is told when the second is over.
    """
    started = time.monotonic()
    lock = threading.Lock()
    said: set[str] = set()
    width = 0
    late: threading.Timer | None = None
    latest = ("", 0, 0)

    def show(label: str, done: int, total: int) -> None:
        nonlocal width
        share = f" {100 * done // total:3d} %" if total else ""
        with lock:
            if sys.stderr.isatty():
                line = f"{label}{share}"[:100]
                sys.stderr.write(f"\r{line:<{width}}")
                sys.stderr.flush()
                width = len(line)
            elif label not in said:
                said.add(label)
                talk(label)

    def listen(label: str, done: int, total: int) -> None:
        nonlocal late, latest
        latest = (label, done, total)
        waited = time.monotonic() - started
        if waited >= QUIET_FOR:
            show(*latest)
        elif late is None:
            late = threading.Timer(QUIET_FOR - waited, lambda: show(*latest))
            late.daemon = True
            late.start()

    try:
        yield listen
    finally:
        if late:
            late.cancel()
            late.join()
        if width:
            sys.stderr.write(f"\r{'':<{width}}\r")
            sys.stderr.flush()
