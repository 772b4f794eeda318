"""``./dev bench [NAME…]``: measure, print the table; with no NAME also write bench/results.md."""

from __future__ import annotations

import datetime
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import breadth, build, start, words
from bench.measure import ROOT, Figure, Skip, machine, say, table, version

SUBJECTS: dict[str, Callable[[Path], list[Figure]]] = {
    "import": words.imports,
    "lock": words.locks,
    "agreement": words.agreement,
    "build": build.builds,
    "start": start.starts,
    "memory": build.memory,
}
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


def measure(name: str) -> list[Figure]:
    say(f"— {name} —")
    room = Path(tempfile.mkdtemp(prefix="ob"))
    room.chmod(0o755)
    try:
        return SUBJECTS[name](room)
    except Skip as reason:
        return [Figure(name, "–", note=f"skipped: {reason}")]
    finally:
        shutil.rmtree(room, ignore_errors=True)


def main(names: list[str]) -> int:
    if names[:1] == ["breadth"]:  # many minutes, and a table of its own
        return breadth.main(names[1:])
    if names == ["--list"]:
        for name, subject in SUBJECTS.items():
            print(f"{name:10} {(subject.__doc__ or '').strip().splitlines()[0]}")
        print("breadth    80 further packages and wheels, whole and trimmed, each doing one thing (many minutes; -h)")
        return 0
    if unknown := [n for n in names if n not in SUBJECTS]:
        say(f"no subject {unknown[0]}; there are: {', '.join(SUBJECTS)}")
        return 2
    before = machine()
    figures = [figure for name in names or SUBJECTS for figure in measure(name)]
    print(table(figures))
    if not names:
        (ROOT / "bench" / "results.md").write_text(page(before, figures))
    return 0


def page(before: str, figures: list[Figure]) -> str:
    """bench/results.md: the table, and what it was taken on."""
    tools = [f"- {said}" for words in TOOLS if (said := version(*words))]
    missed = [f for f in figures if f.met is False]
    parts = [
        "# Measured",
        f"By `./dev bench`, {datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC. Medians of interleaved runs; "
        "compare within one run only. Peers build from an archive on this machine's disk, and start from a ready base "
        "image; oslet starts from its downloads in an otherwise empty store.",
        f"Machine before: {before}.\nMachine after: {machine()}.",
        table(figures),
        f"{len(missed)} bars missed." if missed else "Every bar with a figure is met.",
        "\n".join(tools),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
