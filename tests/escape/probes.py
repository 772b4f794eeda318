"""The attempts of ``probes.c`` as Python has them: compiled, and what each said."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
SOURCE = HERE / "probes.c"
NATIVE = HERE.parents[1] / "src/oslet/run/native"


class Said(NamedTuple):
    """What one attempt was for, what came of it (``refused``, ``contained`` or ``open``), and why."""

    text: str
    outcome: str
    why: str


def program() -> Path:
    """The attempts, for this machine."""
    return static(SOURCE)


def static(source: Path) -> Path:
    """A static program, made once for each edition of its source: by the compiler that oslet's own programs are made
    with. It stays beside the source, since the first time that compiler makes a C library, too."""
    machine = os.uname().machine
    text = b"".join(file.read_bytes() for file in (source, *sorted(NATIVE.glob("*.h"))))
    made = HERE / ".made" / f"{source.stem}-{machine}-{hashlib.sha256(text).hexdigest()[:16]}"
    if not made.exists():
        made.parent.mkdir(exist_ok=True)
        fresh = made.with_suffix(f".{os.getpid()}")
        words = ["-target", f"{machine}-linux-musl", "-static", "-Os", "-o", str(fresh), str(source)]
        done = subprocess.run([sys.executable, "-m", "ziglang", "cc", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        fresh.replace(made)
    return made


def read(text: str) -> dict[str, Said]:
    """What the program printed, by the attempts' names."""
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == 3]
    return {name: Said(*rest) for name, *rest in rows}
