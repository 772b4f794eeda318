"""What oslet costs before it does anything (imports, help), and locking."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from bench.measure import ROOT, Figure, Run, Skip, compared, interleaved, say, show, timed
from bench.ours import OSLET, Ours

ROUNDS = 21


def imports(room: Path) -> list[Figure]:
    """``import oslet`` beyond bare Python, and ``oslet --help``, with byte code there as an installer leaves it."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(ROOT / "src")], check=True)
    python: Run = lambda: timed([sys.executable, "-c", "pass"])  # noqa: E731
    runs: dict[str, Run] = {
        "python3 -c pass": python,
        "import oslet": lambda: timed([sys.executable, "-c", "import oslet"]),
        "oslet --help": lambda: timed([OSLET, "--help"]),
        "./dev oslet --help": lambda: timed([ROOT / "dev", "oslet", "--help"]),
    }
    medians, skipped = interleaved(runs, ROUNDS)
    if skipped:
        return [Figure(name, "–", note=reason) for name, reason in skipped.items()]
    beyond = medians["import oslet"] - medians["python3 -c pass"]
    help_ = medians["oslet --help"]
    return [
        Figure("import oslet, beyond bare Python", show(beyond), "≤ 60 ms", beyond <= 0.06),
        Figure("oslet --help", show(help_), "≤ 120 ms", help_ <= 0.12),
        Figure("./dev oslet --help", show(medians["./dev oslet --help"])),
        Figure("python3 -c pass", show(medians["python3 -c pass"])),
    ]


def locks(room: Path) -> list[Figure]:
    """``oslet lock`` of nginx as a process: the index there, and nothing there."""
    ours = Ours("nginx", room)

    def cached() -> float:
        ours.file.with_suffix(".lock").unlink(missing_ok=True)
        return ours.timed(ours.warm, "lock", ours.file)

    def cold() -> float:
        ours.file.with_suffix(".lock").unlink(missing_ok=True)
        home = room / "nothing"
        try:
            return ours.timed(home, "lock", ours.file)
        finally:
            shutil.rmtree(home, ignore_errors=True)

    return [
        *compared("lock nginx, cached index", "oslet", {"oslet": cached}, at_most=0.2),
        *compared("lock nginx, cold with the download", "oslet", {"oslet": cold}, at_most=5.0, rounds=3),
    ]


def agreement(room: Path) -> list[Figure]:
    """The same package sets as apt on seeded requests, and our time for each."""
    program = ROOT / "bench" / "apt_agreement.py"
    if not program.exists():
        raise Skip("bench/apt_agreement.py is not there")
    say("asking apt and oslet the same 1,500 questions")
    done = subprocess.run([sys.executable, str(program), "--show", "0"], cwd=ROOT, capture_output=True, text=True)
    equal = re.search(r"(\d+) of (\d+) equal", done.stdout)
    solve = re.search(r"solve: median ([\d.]+) ms", done.stdout)
    if not equal or not solve:
        raise Skip(f"apt_agreement: {(done.stderr or done.stdout).strip()[-200:]}")
    asked = int(equal[2])
    share, each = int(equal[1]) / asked, float(solve[1]) / 1000
    return [
        Figure(f"agreement with apt, {asked} requests", f"{share:.2%}", "≥ 99 %", share >= 0.99),
        Figure("solving one request, median", show(each), "≤ 50 ms", each <= 0.05),
    ]
