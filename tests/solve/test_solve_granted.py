"""What a manylinux wheel takes for granted comes with it, by that wheel (PEP 600)."""

from __future__ import annotations

import msgspec

from oslet.errors import ResolveError
from oslet.model.lock import Package, Wheel
from oslet.workspace.resolving import with_granted

PYTHON = Package("python3", "3.13", "amd64", "", "pool/p.deb", 1, "0" * 64, "", "python3")
GCC = msgspec.structs.replace(PYTHON, name="libgcc-s1", by="libstdc++6", request="libgcc-s1 (>= 4)")
CXX = msgspec.structs.replace(PYTHON, name="libstdc++6", request="libstdc++6")
NUMPY = Wheel("numpy", "2", "numpy-2-cp313-cp313-manylinux_2_28_x86_64.whl", 1, "0" * 64, "", "numpy")


def test_the_library_is_there_by_the_wheel() -> None:
    found = {p.name: p.by for p in with_granted((PYTHON,), NUMPY, lambda names: (GCC, CXX, PYTHON))}
    assert found == {"libgcc-s1": "libstdc++6", "libstdc++6": "wheel:numpy", "python3": ""}


def test_one_that_is_there_already_keeps_its_reason() -> None:
    named = msgspec.structs.replace(CXX, request="libstdc++6=14")
    assert with_granted((GCC, named, PYTHON), NUMPY, lambda names: (GCC, CXX, PYTHON)) == (GCC, named, PYTHON)


def test_an_archive_without_it_is_no_fault() -> None:
    def refused(names: tuple[str, ...]) -> tuple[Package, ...]:
        raise ResolveError(f"no {names[0]}")

    assert with_granted((PYTHON,), NUMPY, refused) == (PYTHON,)
