"""The attempts of ``probes.c`` as Python has them: compiled, and what each said."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("probes.c")


class Said(NamedTuple):
    """What one attempt was for, what came of it (``refused``, ``contained`` or ``open``), and why."""

    text: str
    outcome: str
    why: str


def program() -> Path:
    """The attempts as a static program for this machine, made once for each edition of them."""
    machine = os.uname().machine
    made = SOURCE.parent / ".made" / f"probes-{machine}-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]}"
    if not made.exists():
        made.parent.mkdir(exist_ok=True)
        fresh = made.with_suffix(f".{os.getpid()}")
        words = ["-target", f"{machine}-linux-musl", "-static", "-Os", "-o", str(fresh), str(SOURCE)]
        done = subprocess.run([sys.executable, "-m", "ziglang", "cc", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        fresh.replace(made)
    return made


def read(text: str) -> dict[str, Said]:
    """What the program printed, by the attempts' names."""
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == 3]
    return {name: Said(*rest) for name, *rest in rows}
