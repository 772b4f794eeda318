"""How values look to people. This module alone knows rich, and imports it only when it draws."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

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


def lasting(seconds: float) -> str:
    """How long something has lasted, in its two largest units."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    first = next(n for n, (length, _) in enumerate(units) if whole >= length)
    (large, one), (small, other) = units[first : first + 2]
    return f"{whole // large} {one} {whole % large // small} {other}"


def moment(when: float) -> str:
    """A time of this machine's zone, to the millisecond: RFC 3339."""
    from datetime import datetime

    return datetime.fromtimestamp(when).astimezone().isoformat(timespec="milliseconds")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Aligned columns under their names; columns of figures start with ``>``, to align right."""
    from rich.console import Console

    grid = _grid(columns, rows)
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False, emoji=False)
    console.print(grid)


def _grid(columns: Sequence[str], rows: Iterable[Sequence[str]], *, fold: bool = True) -> Any:
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        side: Literal["left", "right"] = "right" if name[0] == ">" else "left"
        grid.add_column(
            name.lstrip(">").upper(), justify=side, overflow="fold" if fold else "ellipsis", no_wrap=not fold
        )
    for row in rows:
        grid.add_row(*map(Text, row))
    return grid


def live(
    columns: Sequence[str],
    frame: Callable[[bool], tuple[str, Sequence[Sequence[str]]]],
    pressed: Callable[[str], bool],
    delay: float,
) -> None:
    """A table on the whole terminal, drawn anew every ``delay`` seconds and after each key. ``frame`` gives its title
    and rows, from a fresh look or the last one; ``pressed`` is told keys, and says whether one ends it. So does ^C."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False, markup=False, emoji=False)

    def drawn(fresh: bool) -> Group:
        title, rows = frame(fresh)
        return Group(Text(title), _grid(columns, rows, fold=False))

    with _keys() as key, Live(console=console, screen=True, auto_refresh=False) as screen:
        fresh, due = True, time.monotonic()
        while True:
            screen.update(drawn(fresh), refresh=True)
            due = time.monotonic() + delay if fresh else due
            said = key(max(0.0, due - time.monotonic()))
            fresh = not said
            if said and pressed(said):
                return


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """A function that waits so many seconds for a key: empty if none comes; ``q`` for the terminal's end and for ^C."""
    import select
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def key(patience: float) -> str:
        try:
            if not select.select([terminal], [], [], patience)[0]:
                return ""
            return os.read(terminal, 1).decode("ascii", "replace") or "q"
        except (KeyboardInterrupt, OSError):
            return "q"

    try:
        tty.setcbreak(terminal)
        yield key
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


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
