"""``./dev bench machines [PART…]``: one image as container and microVM, over one store. Each part is a section of
bench/results.md, written anew when it was measured in every form."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench import dense
from bench.instances import World
from bench.machines import apps, bars, equivalence, wheels
from bench.machines.forms import FORMS, Form
from bench.measure import ROOT
from bench.run import dated, keep

PARTS = ("equivalence", "apps", "wheels", *bars.PARTS)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev bench machines", description=(__doc__ or "").strip())
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--form", action="append", choices=FORMS, help="these forms only (repeatable)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this example or application")
    asked = parser.parse_args(words)
    if unknown := set(asked.parts) - set(PARTS):
        parser.error(f"no part {unknown.pop()}; there are: {', '.join(PARTS)}")
    forms: tuple[Form, ...] = tuple(asked.form or FORMS)
    home = Path(os.environ.get("OSLET_HOME") or Path(os.environ.get("OSLET_DEV") or ROOT / ".dev") / "machines")
    good: list[bool] = []
    with tempfile.TemporaryDirectory(prefix="om") as room:

        def measured(part: str) -> str:
            said, as_it_should_be = _part(part, home, Path(room), forms, asked.only)
            good.append(as_it_should_be)
            return said

        for part in asked.parts or PARTS:
            if asked.form or asked.only:
                print(f"{measured(part)}\n", flush=True)
            else:
                keep(dated(f"Machines: {part}", f"machines {part}", partial(measured, part)))
    return 0 if all(good) else 1


def _part(part: str, home: Path, room: Path, forms: tuple[Form, ...], only: Sequence[str]) -> tuple[str, bool]:
    """A table, and whether all was as it should be."""
    if part == "equivalence":
        said, good = equivalence.compared(home, room, forms, only)
    elif part == "apps":
        rows = apps.every(home, room / "apps", forms, only)
        said, good = apps.table(rows, forms), all(row.passed for row in rows)
    elif part == "wheels":
        said, good = wheels.compared(home, room, forms)
    else:
        found = bars.PARTS[part](World(home, room))
        said, good = dense.table(found), all(row.met is not False for row in found)
    return said, good


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
