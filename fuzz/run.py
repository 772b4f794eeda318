"""``./dev fuzz [READER…]``: hostile inputs for each reader; prints a table, exits with 1 if there are findings.

What is found interesting stays in the folder (``.dev/fuzz``), so the next run starts where this one ended; findings
are there too, each with what is wrong beside it. ``--input FILE`` runs just that one again.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fuzz import smoke
from fuzz.guard import MEMORY_DISK
from fuzz.native import PROGRAMS
from fuzz.readers import READERS

ROOT = Path(__file__).parents[1]
RESTARTS = 50
_PULSE = re.compile(r"cov: (\d+) ft: (\d+)")


class Run(NamedTuple):
    """How one reader fared."""

    reader: str
    seconds: float
    executions: int
    taken: int
    edges: int
    features: int
    peak: int
    findings: int


def fuzz(name: str, seconds: int, folder: Path) -> Run:
    """Fuzz one reader for so long; a hang or crash is a finding, after which it goes on."""
    corpus, findings = folder / name, folder / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    began = time.monotonic()
    executions = taken = edges = features = peak = 0
    for _ in range(RESTARTS):
        left = seconds - int(time.monotonic() - began)
        if left < 1:
            break
        words = [sys.executable, "-m", "fuzz.engine", name, str(left), str(corpus), str(findings)]
        if name in PROGRAMS:
            words = [sys.executable, "-m", "fuzz.native", name, str(left), str(folder)]
        counts = folder / f"{name}.json"
        counts.unlink(missing_ok=True)
        with _room() as room, (folder / f"{name}.log").open("w+b") as log:
            words += () if name in PROGRAMS else (room,)
            done = subprocess.run(words, cwd=ROOT, env=_environment(), stdout=log, stderr=log, check=False)
            log.seek(0)
            said = _PULSE.findall(log.read().decode("utf-8", "replace"))
        if counts.exists():
            figures = json.loads(counts.read_bytes())
            executions, taken = executions + figures["executions"], taken + figures["taken"]
            peak = max(peak, figures["peak"])
        edges, features = (max(had, int(got)) for had, got in zip((edges, features), said[-1] if said else (0, 0)))
        if done.returncode:
            print(f"{name}: ended with {done.returncode}, see {folder / name}.log", file=sys.stderr)
    held = [path for path in findings.glob(f"{name}-*") if path.suffix != ".txt"]
    return Run(name, time.monotonic() - began, executions, taken, edges, features, peak, len(held))


def _room() -> tempfile.TemporaryDirectory[str]:
    """Where a reader may write; removed here, since the engine ends its process without a farewell."""
    return tempfile.TemporaryDirectory(prefix="oslet-fuzz-", dir=MEMORY_DISK)


def _environment() -> dict[str, str]:
    paths = [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def table(runs: list[Run]) -> str:
    rows = ["| reader | seconds | executions | taken | edges | features | peak MB | findings |", "|---|" + "---:|" * 7]
    rows += [
        f"| {r.reader} | {r.seconds:.0f} | {r.executions:,} | {100 * r.taken // max(1, r.executions)} % "
        f"| {r.edges:,} | {r.features:,} | {r.peak >> 20} | {r.findings} |"
        for r in runs
    ]
    return "\n".join(rows)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="READER", help="all of them when none is named")
    parser.add_argument("--seconds", type=int, default=600, help="for each reader (600)")
    parser.add_argument("--jobs", type=int, default=1, help="readers at a time (1)")
    parser.add_argument("--folder", type=Path, default=ROOT / ".dev" / "fuzz", help="where inputs and findings stay")
    parser.add_argument("--input", type=Path, help="only this input, without the engine")
    parser.add_argument("--list", action="store_true", help="the readers there are")
    given = parser.parse_args(words)
    if given.list:
        for reader in READERS.values():
            print(f"{reader.name:12} {reader.what}")
        for name, what in PROGRAMS.items():
            print(f"{name:12} {what}")
        return 0
    if unknown := [name for name in given.readers if name not in (*READERS, *PROGRAMS)]:
        print(f"fuzz: no reader {unknown[0]}; there are: {', '.join((*READERS, *PROGRAMS))}", file=sys.stderr)
        return 2
    if given.input:
        return smoke.main([*given.readers, "--input", str(given.input)])
    named = given.readers or [*READERS, *PROGRAMS]
    if importlib.util.find_spec("atheris") is None and not set(named) <= set(PROGRAMS):
        print(
            "fuzz: atheris isn't installed here: it has wheels for CPython 3.11 to 3.14 on x86-64 Linux only",
            file=sys.stderr,
        )
        return 2
    with ThreadPoolExecutor(given.jobs) as pool:
        runs = list(pool.map(lambda name: fuzz(name, given.seconds, given.folder), named))
    print(table(runs))
    return 1 if any(run.findings for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
