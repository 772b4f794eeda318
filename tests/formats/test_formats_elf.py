"""ELF: the reader against pyelftools, on the machine's own libraries and on damaged ones."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from oslet.errors import IntegrityError
from oslet.formats import elf

_FOLDERS = [Path("/usr/bin"), *Path("/usr/lib").glob("*-linux-gnu")]


def _programs(count: int) -> list[Path]:
    found = []
    for folder in _FOLDERS:
        some = []
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            try:
                if path.is_file() and path.open("rb").read(4) == b"\x7fELF":
                    some.append(path)
            except OSError:
                continue
        found += some[:: max(1, len(some) // count)]
    return found


def _oracle(path: Path) -> tuple[int, str, str, tuple[str, ...]]:
    with path.open("rb") as stream:
        file = ELFFile(stream)
        segments: list[Any] = list(file.iter_segments())
        interp = next((s.get_interp_name() for s in segments if s["p_type"] == "PT_INTERP"), "")
        dynamic = next((s for s in segments if s["p_type"] == "PT_DYNAMIC"), None)
        tags = list(dynamic.iter_tags()) if dynamic is not None else []
        soname = next((t.soname for t in tags if t["d_tag"] == "DT_SONAME"), "")
        return file.elfclass, interp, soname, tuple(t.needed for t in tags if t["d_tag"] == "DT_NEEDED")


def test_the_same_as_pyelftools() -> None:
    paths = _programs(40)
    assert paths or not Path("/usr/bin").is_dir()
    for path in paths:
        with path.open("rb") as stream:
            found = elf.read(stream, where=str(path))
        assert found is not None
        assert (found.bits, found.interpreter, found.soname, found.needed) == _oracle(path), path


def test_what_is_no_elf_is_none() -> None:
    assert elf.read(io.BytesIO(b"#!/bin/sh\n")) is None
    assert elf.read(io.BytesIO(b"")) is None


def test_a_short_header_is_an_error() -> None:
    with pytest.raises(IntegrityError) as caught:
        elf.read(io.BytesIO(b"\x7fELF\x02\x01"), where="lib.so")
    assert caught.value.where == "lib.so"


_sample = Path(os.path.realpath("/usr/bin/env")).read_bytes() if Path("/usr/bin/env").exists() else b""


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=12), st.integers(0, 1 << 16))
def test_damage_is_an_integrity_error_or_harmless(changes: list[tuple[int, int]], end: int) -> None:
    data = bytearray(_sample[: len(_sample) - end] if end % 3 == 0 else _sample)
    for at, value in changes:
        if at < len(data):
            data[at] = value
    try:
        elf.read(io.BytesIO(bytes(data)))
    except IntegrityError as error:
        assert "ELF" in error.what
