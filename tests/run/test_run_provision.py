"""Tools that run from the store: a copied program with its own linker and libraries."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from oslet.errors import RunError
from oslet.run.provision import has_interpreter, relocate


def libraries(program: str) -> list[Path]:
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return [Path(word) for line in listed.splitlines() for word in line.split() if word.startswith("/")]


def test_a_relocated_program_uses_nothing_of_the_machine(tmp_path: Path) -> None:
    program = shutil.which("ls")
    if program is None or shutil.which("ldd") is None or not has_interpreter(Path(program)):
        pytest.skip("no dynamic ls and ldd here")
    laid = tmp_path / "laid"
    folder = laid / "usr/lib/x86_64-linux-gnu"
    folder.mkdir(parents=True)
    (laid / "usr/bin").mkdir()
    shutil.copy(program, laid / "usr/bin/ls")
    for library in libraries(program):
        shutil.copy(library, folder)
    before = (laid / "usr/bin/ls").read_bytes()
    if not any(folder.glob("ld-linux*")):
        pytest.skip("another C library")
    into = relocate(laid, tmp_path / "tools" / "ls")
    assert relocate(laid, into) == into
    assert (laid / "usr/bin/ls").read_bytes() == before
    done = subprocess.run(
        [into / "usr/bin/ls", into], capture_output=True, text=True, env={"LD_DEBUG": "libs"}, check=True
    )
    assert done.stdout == "usr\n"
    loaded = [line.split()[-1] for line in done.stderr.splitlines() if "calling init" in line]
    assert loaded and all(path.startswith(str(into)) for path in loaded)


def test_a_tree_without_a_linker_is_refused(tmp_path: Path) -> None:
    (tmp_path / "laid/usr/bin").mkdir(parents=True)
    with pytest.raises(RunError, match="no dynamic linker"):
        relocate(tmp_path / "laid", tmp_path / "into")
    assert [p.name for p in tmp_path.iterdir()] == ["laid"]
