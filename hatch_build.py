"""The wheel's programs in C, made by the compiler that PyPI's ``ziglang`` brings: static, for every kind of machine.

As a program it makes them in place, for a checkout: ``python hatch_build.py``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parent / "src" / "oslet" / "run" / "native"
MACHINES = {"x86_64": "x86_64-linux-musl", "aarch64": "aarch64-linux-musl"}
FLAGS = ("-std=gnu11", "-Os", "-static", "-s", "-Wall", "-Wextra", "-Wno-sign-compare", "-Werror")


def make() -> list[Path]:
    """Each program for each machine that is older than its source; all of them."""
    made = []
    for machine, target in MACHINES.items():
        for source in sorted(SOURCES.glob("*.c")):
            program = SOURCES / machine / source.stem
            made.append(program)
            if program.exists() and program.stat().st_mtime > source.stat().st_mtime:
                continue
            program.parent.mkdir(exist_ok=True)
            compiler = [sys.executable, "-m", "ziglang", "cc", "-target", target, *FLAGS]
            subprocess.run([*compiler, "-o", str(program), str(source)], check=True)
    return made


if __name__ == "__main__":
    make()
else:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface

    class Hook(BuildHookInterface):  # type: ignore[type-arg]
        """What hatchling calls before it packs."""

        PLUGIN_NAME = "custom"

        def initialize(self, version: str, build_data: dict[str, object]) -> None:
            build_data["artifacts"] = [str(path.relative_to(self.root)) for path in make()]
