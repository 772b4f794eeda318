"""The fuzzing harness stays alive: each reader over its seeds and some mutations of them, the same each time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fuzz.guard import Guard
from fuzz.judge import Finding, Reader, judge, promise
from fuzz.native import PROGRAMS
from fuzz.readers import READERS

ROOT = Path(__file__).parents[2]
COUNT = 80


def python(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.run(
        (sys.executable, *words), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.parametrize("part", range(3))
def test_no_reader_breaks_over_its_seeds_and_their_neighbours(part: int) -> None:
    names = list(READERS)[part::3]
    done = python("-m", "fuzz.smoke", *names, "--count", str(COUNT))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == len(names)


def test_some_seeds_of_each_reader_are_taken(tmp_path: Path) -> None:
    from oslet.errors import OsletError

    for reader in READERS.values():
        taken = 0
        for number, seed in enumerate(reader.seeds()):
            room = tmp_path / f"{reader.name}{number}"
            room.mkdir()
            try:
                reader.read(seed, room)
                taken += 1
            except OsletError:
                continue
        assert taken, reader.name


HARM = {
    "escape: open": lambda room: (room.parent / "out").write_text("x"),
    "escape: os.mkdir": lambda room: (room.parent / "folder").mkdir(exist_ok=True),
    "escape: os.symlink": lambda room: (room.parent / f"link{time.monotonic_ns()}").symlink_to("x"),
    "escape: subprocess": lambda room: subprocess.run(["true"], check=True),
    "broken promise": lambda room: promise(False, "it isn't so"),
    "ValueError": lambda room: int("x"),
}


def main(room: Path) -> None:
    """What the oracles must find; in a process of its own, since an audit hook stays."""
    guard = Guard(room)
    for place, harm in {
        **HARM,
        "escape: open ": lambda at: (
            (at / "leads-out").symlink_to(at.parent),
            (at / "leads-out/out").write_text("x"),
        ),
    }.items():
        reader = Reader("r", "", list, lambda data, at, harm=harm: str(harm(at))[:0])  # type: ignore[misc]
        try:
            judge(reader, b"", guard)
        except Finding as finding:
            assert finding.place.startswith(place), finding.place
        else:
            raise AssertionError(f"{place} wasn't found")
    assert judge(Reader("r", "", list, lambda data, at: (at / "in").write_text("x")), b"", guard)


def test_each_kind_of_harm_is_found(tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    done = python(
        "-c", f"import pathlib; from tests.fuzz.test_fuzz_smoke import main; main(pathlib.Path({str(room)!r}))"
    )
    assert done.returncode == 0, done.stderr


def test_the_door(tmp_path: Path) -> None:
    listed = python("-m", "fuzz.run", "--list")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [*READERS, *PROGRAMS]
    assert python("-m", "fuzz.run", "elfs").returncode == 2
    seed = tmp_path / "input"
    seed.write_bytes(READERS["elf"].seeds()[0])
    assert "1 inputs, 1 taken" in python("-m", "fuzz.run", "elf", "--input", str(seed)).stdout
    absent = python(
        "-c", "import sys; sys.modules['atheris'] = None; from fuzz.run import main; sys.exit(main(['elf']))"
    )
    assert absent.returncode == 2
    assert "atheris isn't installed here" in absent.stderr
