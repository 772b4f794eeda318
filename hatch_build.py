"""The wheel's programs in C, made by the compiler that PyPI's ``ziglang`` brings: static, for every kind of machine.

As a program it makes them in place, for a checkout: ``python hatch_build.py``. The same sources, flags and
compiler make the same bytes, wherever that is.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parent / "src" / "oslet" / "run" / "native"
MACHINES = {"x86_64": "x86_64-linux-musl", "aarch64": "aarch64-linux-musl"}
FLAGS = (
    "-std=gnu11",
    "-Os",
    "-static",
    "-s",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-Wall",
    "-Wextra",
    "-Wno-sign-compare",
    "-Werror",
)


def make() -> list[Path]:
    """Each program for each machine, unless it was made of the same source in the same way; all of them."""
    made = []
    shared = b"".join(header.read_bytes() for header in sorted(SOURCES.glob("*.h")))
    for machine, target in MACHINES.items():
        for source in sorted(SOURCES.glob("*.c")):
            program = SOURCES / machine / source.stem
            made.append(program)
            words = ["-target", target, *FLAGS]
            stamp = program.with_name(f".{program.name}.made")
            wanted = hashlib.sha256(source.read_bytes() + shared + repr(words).encode()).hexdigest()
            if program.exists() and stamp.exists() and stamp.read_text() == wanted:
                continue
            print(f"making {machine}/{program.name} (the first time takes a minute or two)", file=sys.stderr)
            program.parent.mkdir(exist_ok=True)
            # By a name of its own and a rename, since a program that runs can't be written (ETXTBSY).
            fresh = program.with_name(f".{program.name}.{os.getpid()}")
            compiler = [sys.executable, "-m", "ziglang", "cc", *words]
            try:
                subprocess.run([*compiler, "-o", fresh, source.name], cwd=SOURCES, check=True)
                fresh.replace(program)
            finally:
                fresh.unlink(missing_ok=True)
            stamp.write_text(wanted)
    return made


if __name__ == "__main__":
    make()
else:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    class Hook(BuildHookInterface):  # type: ignore[type-arg]
        """What hatchling calls before it packs a wheel, or makes an environment of a checkout."""

        PLUGIN_NAME = "custom"

        def initialize(self, version: str, build_data: dict[str, object]) -> None:
            build_data["artifacts"] = [str(path.relative_to(self.root)) for path in make()]
