"""Timing contestants side by side, and what a measurement looks like on paper."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ROUNDS = 5

Run = Callable[[], float | None]
"""One run of a contestant: it prepares, runs, and returns its own seconds, or None for "time the call"."""


class Skip(Exception):  # noqa: N818 (it is an answer, not a fault)
    """A contestant can't take part here; the message says why."""


class Figure(NamedTuple):
    """One line of the table. ``met`` is None when there is no ``bar``, or no figure to hold to it."""

    what: str
    value: str
    bar: str = ""
    met: bool | None = None
    note: str = ""


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def command(
    words: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run to the end, quietly; Skip with its last words when it fails."""
    done = subprocess.run(
        [str(w) for w in words], env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        last = " / ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])
        raise Skip(f"{' '.join(map(str, words[:3]))} … exits with {done.returncode}: {last[:300]}")
    return done


def timed(words: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> float:
    """Seconds of one process, from its start to its end."""
    began = time.perf_counter()
    command(words, env=env, cwd=cwd)
    return time.perf_counter() - began


def interleaved(contestants: Mapping[str, Run], rounds: int = ROUNDS) -> tuple[dict[str, float], dict[str, str]]:
    """Each contestant's median over ``rounds``, one turn each a round; and why the others have none."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    skipped: dict[str, str] = {}
    for turn in range(rounds):
        for name, run in contestants.items():
            if name in skipped:
                continue
            began = time.perf_counter()
            try:
                own = run()
            except Skip as reason:
                skipped[name] = str(reason)
                continue
            seconds[name].append(time.perf_counter() - began if own is None else own)
        say(f"round {turn + 1} of {rounds}: " + ", ".join(f"{n} {show(t[-1])}" for n, t in seconds.items() if t))
    return {n: statistics.median(t) for n, t in seconds.items() if t and n not in skipped}, skipped


def show(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"


def compared(
    what: str,
    ours: str,
    contestants: Mapping[str, Run],
    *,
    at_most: float | None = None,
    times: Mapping[str, float] | None = None,
    rounds: int = ROUNDS,
) -> list[Figure]:
    """Our contestant's figure against an absolute bar in seconds, and each peer's against "N times as long as ours"."""
    medians, skipped = interleaved(contestants, rounds)
    if ours not in medians:
        return [Figure(f"{what}: {ours}", "–", note=skipped.get(ours, ""))]
    own = medians[ours]
    bar, met = ("", None) if at_most is None else (f"≤ {show(at_most)}", own <= at_most)
    figures = [Figure(f"{what}: {ours}", show(own), bar, met)]
    for name in contestants:
        if name == ours:
            continue
        wanted = (times or {}).get(name)
        bar = "" if wanted is None else f"≥ {wanted:g} × oslet"
        if name in skipped:
            figures.append(Figure(f"{what}: {name}", "–", bar, note=f"skipped: {skipped[name]}"))
            continue
        ratio = medians[name] / own
        met = None if wanted is None else ratio >= wanted
        figures.append(Figure(f"{what}: {name}", show(medians[name]), bar, met, f"{ratio:.1f} × oslet"))
    return figures


def table(figures: Iterable[Figure]) -> str:
    """A Markdown table."""
    word = {True: "met", False: "**missed**", None: ""}
    rows = [("what", "median", "bar", "", "note"), ("---",) * 5]
    rows += [(f.what, f.value, f.bar, word[f.met], f.note.replace("|", "/")) for f in figures]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def machine() -> str:
    """What the figures were taken on, in one line."""
    cpu = next((x.partition(":")[2].strip() for x in _lines("/proc/cpuinfo") if x.startswith("model name")), "?")
    memory = next((int(x.split()[1]) >> 20 for x in _lines("/proc/meminfo") if x.startswith("MemTotal")), 0)
    return (
        f"{os.cpu_count()} × {cpu}, {memory} GiB, Linux {platform.release()}, Python {platform.python_version()}, "
        f"load {' '.join(f'{x:.1f}' for x in os.getloadavg())}, as {'root' if os.getuid() == 0 else 'an ordinary user'}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def version(*words: str) -> str:
    """What a tool says of itself, its first line; empty when it isn't here."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip().partition("\n")[0]
