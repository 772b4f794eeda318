"""``oslet top``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from oslet.cli import options

if TYPE_CHECKING:
    from oslet.run.overview import Row

COLUMNS = ("name", "image", "state", ">cpu", ">memory", ">processes", ">up", ">restarts", "health", "ports")
_ONCE = 0.5
"""Seconds between the two looks of a single answer: a share of the processor is one of some time."""
KEYS: dict[str, tuple[str, Callable[[Row], object], bool]] = {
    "c": ("cpu", lambda row: row.cpu, True),
    "m": ("memory", lambda row: row.memory, True),
    "u": ("uptime", lambda row: row.uptime, False),
    "n": ("name", lambda row: row.name, False),
}
"""Keys, what they sort by, and whether the most comes first."""


@click.command("top")
@click.option("-s", "--sort", type=click.Choice([name for name, *_ in KEYS.values()]), default="cpu", show_default=True)
@click.option("-d", "--delay", type=click.FloatRange(0.1), default=2, show_default=True, help="Seconds between looks.")
@options.as_json
def command(sort: str, delay: float, as_json: bool) -> None:
    """What runs and what it uses, again and again: q ends it; c, m, u, n sort by cpu, memory, uptime, name.

    CPU is a share of one processor. Once, with --json or where standard output is no terminal.
    """
    from oslet.cli import render
    from oslet.run.overview import Overview

    with options.workspace() as workspace:
        overview = Overview(workspace.places.state)
    by = next(key for key, (name, *_) in KEYS.items() if name == sort)
    rows = overview.look()
    if as_json or not (sys.stdout.isatty() and sys.stdin.isatty()):
        time.sleep(_ONCE if rows else 0)
        once = ordered(overview.look(), by)
        if as_json:
            render.as_json(once)
        else:
            render.table(COLUMNS, map(cells, once))
        return

    def pressed(key: str) -> bool:
        nonlocal by
        by = key if key in KEYS else by
        return key == "q"

    def frame(fresh: bool) -> tuple[str, list[tuple[str, ...]]]:
        nonlocal rows
        rows = overview.look() if fresh else rows
        return f"{len(rows)} run, by {KEYS[by][0]}", [cells(row) for row in ordered(rows, by)]

    render.live(COLUMNS, frame, pressed, delay)


def ordered(rows: tuple[Row, ...], key: str) -> list[Row]:
    _, by, most = KEYS[key]
    return sorted(sorted(rows, key=lambda row: row.name), key=by, reverse=most)  # type: ignore[arg-type]


def cells(row: Row) -> tuple[str, ...]:
    from oslet.cli import render

    return (
        row.name,
        row.image_name,
        row.state,
        f"{row.cpu:.1f} %",
        render.size(row.memory),
        str(row.processes),
        render.lasting(row.uptime),
        str(row.restarts),
        row.health or "-",
        " ".join(map(str, row.ports)) or "-",
    )
