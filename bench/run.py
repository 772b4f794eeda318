"""``./dev bench [NAME…]``: measure, print the table; with no NAME also write bench/results.md.

A section of that page (SECTIONS) is written anew whenever it is measured, with or without the rest.
"""

from __future__ import annotations

import datetime
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bench import breadth, build, chaos, escapes, fresh, instances, sizes, start, words
from bench.measure import ROOT, Figure, Skip, machine, say, table, version

T = TypeVar("T")
SUBJECTS: dict[str, Callable[[Path], list[Figure]]] = {
    "import": words.imports,
    "lock": words.locks,
    "agreement": words.agreement,
    "build": build.builds,
    "start": start.starts,
    "postgres": fresh.databases,
    "memory": build.memory,
}
SECTIONS: dict[str, Callable[[Path], str]] = {
    "sizes": sizes.section,
    "escapes": escapes.section,
    "instances": instances.section,
}
"""Subjects that are a section of their own in bench/results.md, below a heading of that name."""
RESULTS = ROOT / "bench" / "results.md"
TOOLS = (
    ("oslet", "--version"),
    ("crun", "--version"),
    ("runc", "--version"),
    ("docker", "--version"),
    ("buildah", "--version"),
    ("mmdebstrap", "--version"),
    ("debootstrap", "--version"),
    ("apt-get", "--version"),
)


def measure(name: str, subject: Callable[[Path], T]) -> T:
    """What a subject finds, in a folder of its own that is gone afterwards. Raises Skip."""
    say(f"— {name} —")
    room = Path(tempfile.mkdtemp(prefix="ob"))
    room.chmod(0o755)
    try:
        return subject(room)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def figures(name: str) -> list[Figure]:
    try:
        return measure(name, SUBJECTS[name])
    except Skip as reason:
        return [Figure(name, "–", note=f"skipped: {reason}")]


def section(name: str) -> str:
    """A section as it stands in bench/results.md, with its heading."""

    def measured() -> str:
        try:
            return measure(name, SECTIONS[name])
        except Skip as reason:
            return f"Skipped: {reason}."

    return dated(name.capitalize(), name, measured)


def dated(title: str, words: str, measured: Callable[[], str]) -> str:
    """A section, and what it was measured by, when and on what."""
    before, body = machine(), measured()
    by = f"By `./dev bench {words}`, {now()}. Machine before: {before}. After: {machine()}."
    return f"## {title}\n\n{by}\n\n{body}\n"


def keep(text: str) -> None:
    """Print a section, and write it to bench/results.md."""
    print(text, flush=True)
    RESULTS.write_text(refreshed(RESULTS.read_text(), text))


def now() -> str:
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"


def main(names: list[str]) -> int:
    if names[:1] == ["breadth"]:  # many minutes, and a table of its own
        return breadth.main(names[1:])
    if names[:1] == ["machines"]:
        from bench.machines.__main__ import main as machines

        return machines(names[1:])
    if names[:1] == ["chaos"]:
        return chaos.main(names[1:])
    every = {**SUBJECTS, **SECTIONS}
    if names == ["--list"]:
        for name, subject in every.items():
            print(f"{name:10} {(subject.__doc__ or '').strip().splitlines()[0]}")
        print("breadth    80 further packages and wheels, whole and trimmed, each doing one thing (many minutes; -h)")
        print("machines   one image as container and microVM: that it does the same, and issue 5's bars (-h)")
        print("chaos      random operations on instances, all killed at random, held to what the kernel says (-h)")
        return 0
    if unknown := [n for n in names if n not in every]:
        say(f"no subject {unknown[0]}; there are: {', '.join(every)}")
        return 2
    before = machine()
    found = [figure for name in names or SUBJECTS if name in SUBJECTS for figure in figures(name)]
    if found:
        print(table(found))
    if not names:
        kept = parts(RESULTS.read_text())[1:] if RESULTS.exists() else []
        RESULTS.write_text("\n".join([page(before, found), *kept]))
    for name in names or SECTIONS:
        if name in SECTIONS:
            keep(section(name))
    return 0


def refreshed(page: str, section: str) -> str:
    """The page with a section in place of the one of the same heading, or at its end."""
    heading = section.partition("\n")[0]
    others = [part for part in parts(page) if part.partition("\n")[0] != heading]
    return "\n".join(part.rstrip("\n") + "\n" for part in [*others, section])


def parts(page: str) -> list[str]:
    """What stands above the page's sections, and each section."""
    return re.split(r"^(?=## )", page, flags=re.MULTILINE)


def page(before: str, figures: list[Figure]) -> str:
    """bench/results.md: the table, and what it was taken on."""
    tools = [f"- {said}" for words in TOOLS if (said := version(*words))]
    missed = [f for f in figures if f.met is False]
    above = [
        "# Measured",
        f"By `./dev bench`, {now()}. Medians of interleaved runs; "
        "compare within one run only. Peers build from an archive on this machine's disk, and start from a ready base "
        "image; oslet starts from its downloads in an otherwise empty store.",
        f"Machine before: {before}.\nMachine after: {machine()}.",
        table(figures),
        f"{len(missed)} bars missed." if missed else "Every bar with a figure is met.",
        "\n".join(tools),
    ]
    return "\n\n".join(above) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
