"""``./dev bench breadth``: further applications, each built whole and trimmed, each asked to do one thing.

Nothing is set for any of them but the answers for maintainer scripts that are counted in the last line. What was found
is kept in .dev/breadth (or $OSLET_DEV/breadth), so a run that was stopped goes on where it was; a changed case or a
changed oslet is tried anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

import msgspec

from bench.cases import Case, Failed, Kind, Tried, cases
from bench.measure import ROOT, say
from bench.peer import peer

LEVELS = ("packages", "safe")


class Row(msgspec.Struct):
    """What was found of one case: bytes and verdict ("" is a pass) at each level, and the seconds it took."""

    kind: Kind
    name: str
    sizes: dict[str, int] = {}
    faults: dict[str, str] = {}
    seconds: float = 0.0
    answered: int = 0
    needs: int = 0

    @property
    def passed(self) -> bool:
        return not any(self.faults.get(level, "not tried") for level in LEVELS)


def tried(case: Case, kind: Kind, oslet: Tried, levels: Iterable[str]) -> Row:
    began = time.monotonic()
    row = Row(kind, case.name, answered=len(case.scripts), needs=max(0, len(case.packages) - 1))
    for level in levels:
        try:
            image = oslet.build(case, level)
        except Failed as failed:
            row.faults[level] = f"build: {failed}"
            continue
        row.sizes[level] = image.size
        verdict = oslet.check(case, image.digest)
        row.faults[level] = "" if verdict.passed else verdict.said or "failed"
    row.seconds = round(time.monotonic() - began, 1)
    return row


def remembered(case: Case, folder: Path, levels: Sequence[str]) -> Path:
    """Where the row of this case by this oslet stands, or will."""
    from oslet.workspace.edition import edition

    key = hashlib.sha256(repr((case, edition(), levels)).encode()).hexdigest()[:16]
    return folder / f"{case.name}-{key}.json"


def rows(kinds: Iterable[Kind], names: Sequence[str], levels: Sequence[str], *, again: bool) -> list[Row]:
    room = Path(os.environ.get("OSLET_DEV") or ROOT / ".dev") / "breadth"
    (room / "found").mkdir(parents=True, exist_ok=True)
    home = Path(os.environ.get("OSLET_HOME") or room / "home")
    found: list[Row] = []
    with peer() as somebody:
        oslet = Tried(home, room / "declarations", somebody)
        for kind in kinds:
            for case in cases(kind):
                if names and case.name not in names:
                    continue
                file = remembered(case, room / "found", levels)
                if again or not file.exists():
                    file.write_bytes(msgspec.json.encode(tried(case, kind, oslet, levels)))
                row = msgspec.json.decode(file.read_bytes(), type=Row)
                said = " ".join(f"{n}: {row.faults.get(n) or 'ok'}" for n in levels)
                say(f"{kind[:-1]} {case.name}: {said} ({row.seconds:.0f} s)")
                found.append(row)
    return found


def table(found: Iterable[Row]) -> str:
    """A Markdown table, and the pass rate."""
    found = list(found)
    lines = [
        "| kind | name | whole, MB | safe, MB | whole | safe | seconds |",
        "| --- | --- | --: | --: | --- | --- | --: |",
    ]
    for row in found:
        sizes = [f"{row.sizes[n] / 1e6:.1f}" if n in row.sizes else "–" for n in LEVELS]
        words = ["–" if n not in row.faults else "**failed**" if row.faults[n] else "passed" for n in LEVELS]
        lines.append(f"| {row.kind[:-1]} | {row.name} | {' | '.join((*sizes, *words))} | {row.seconds:.0f} |")
    kinds = [(k, [r for r in found if r.kind == k]) for k in get_args(Kind)]
    rate = ", ".join(f"{sum(r.passed for r in of)} of {len(of)} {kind}" for kind, of in kinds if of)
    spent = [sum(r.sizes[n] for r in found if len(r.sizes) == len(LEVELS)) / 1e6 for n in LEVELS]
    lines += [
        "",
        f"{rate} pass at safe as they do whole; {spent[0]:.0f} MB become {spent[1]:.0f} MB. "
        f"Maintainer scripts answered: {sum(r.answered for r in found)}; packages named beside the application's own: "
        f"{sum(r.needs for r in found)}; rules or keep lines for any of them: none.",
    ]
    return "\n".join(lines)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench breadth", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this case (repeatable)")
    parser.add_argument("--kind", choices=get_args(Kind), help="packages or wheels only")
    parser.add_argument("--level", choices=LEVELS, help="one level only")
    parser.add_argument("--again", action="store_true", help="also what was found before")
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    asked = parser.parse_args(words)
    kinds: tuple[Kind, ...] = (asked.kind,) if asked.kind else get_args(Kind)
    levels = (asked.level,) if asked.level else LEVELS
    found = rows(kinds, asked.only, levels, again=asked.again)
    if not found:
        say(f"no case {', '.join(asked.only)}")
        return 2
    print(json.dumps([msgspec.to_builtins(r) for r in found]) if asked.json else table(found))
    return 0 if all(not r.faults.get(n) for r in found for n in levels) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
