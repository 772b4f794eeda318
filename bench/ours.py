"""oslet as a contestant: stores that are cold but for the packages, and the command line as a process."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from bench.measure import ROOT, Skip, command, timed

OSLET = Path(sys.executable).with_name("oslet")


class Ours:
    """One example, locked, its packages fetched into ``warm``; a folder of its own for all that a run writes."""

    def __init__(self, name: str, room: Path) -> None:
        self.room = room
        self.folder = room / name
        self.warm = room / "warm"
        self.turn = 0
        shutil.copytree(ROOT / "examples" / name, self.folder, dirs_exist_ok=True)
        self.file = self.folder / f"{name}.toml"
        self.built: dict[str, Any] = json.loads(self.oslet(self.warm, "build", self.file, "--json"))

    def environment(self, home: Path) -> dict[str, str]:
        """A person's: where Python may keep its byte code."""
        kept = {n: v for n, v in os.environ.items() if n != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, "OSLET_HOME": str(home)}

    def oslet(self, home: Path, *words: str | Path) -> str:
        return command([OSLET, *words], env=self.environment(home)).stdout

    def timed(self, home: Path, *words: str | Path) -> float:
        return timed([OSLET, *words], env=self.environment(home))

    def cold(self) -> Path:
        """A new store that holds the downloads and nothing else (hard links: nothing is copied)."""
        self.turn += 1
        home = self.room / f"cold-{self.turn}"
        home.mkdir(mode=0o700)
        shutil.copytree(self.warm / "blobs", home / "blobs", copy_function=os.link)
        return home

    def cold_build(self) -> float:
        home = self.cold()
        seconds = self.timed(home, "build", self.file)
        shutil.rmtree(home)
        return seconds


def peak_memory(words: list[str], env: dict[str, str]) -> int:
    """The most memory, in bytes, that a process or one of its children held at once."""
    program = "import resource,subprocess,sys;c=subprocess.call(sys.argv[1:],stdout=2);"
    program += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss*1024);sys.exit(c)"
    out = command([sys.executable, "-c", program, *words], env=env).stdout
    if not out.strip().isdigit():
        raise Skip("no figure for memory")
    return int(out)
