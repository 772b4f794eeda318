"""ICU's data: packages, resource bundles and the library they come in. Oracles: pyelftools, the loader, genrb."""

from __future__ import annotations

import contextlib
import ctypes
import io
import platform
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from oslet.errors import IntegrityError
from oslet.formats import datalib, elf, icudata, icures
from oslet.formats.datalib import DataLibrary
from oslet.formats.icudata import Item, Package


def head(kind: bytes, version: int = 1) -> bytes:
    """The header of ICU data: its size, magic, and what is in it."""
    return struct.pack("<HBBHHBBBB4s4B4B", 32, 0xDA, 0x27, 20, 0, 0, 0, 2, 0, kind, version, *(0,) * 7).ljust(32, b"\0")


def package(*items: Item) -> Package:
    return Package(head(b"CmnD"), "icudt1l", tuple(items))


names = st.from_regex(r"\A([a-z]{2,4}/)?[a-zA-Z_]{1,8}\.(res|icu)\Z")
contents = st.dictionaries(names, st.integers(1, 9).flatmap(lambda n: st.binary(min_size=16 * n, max_size=16 * n)))


@given(contents.filter(bool))
def test_a_package_is_read_as_it_was_written(some: dict[str, bytes]) -> None:
    written = package(*(Item(name, data) for name, data in some.items()))
    data = icudata.write(written)
    found = icudata.read(data)
    assert found == written._replace(items=tuple(sorted(written.items)))
    assert icudata.write(found) == data


@given(contents.filter(bool), st.data())
def test_a_damaged_package_is_refused_or_read_and_nothing_else(some: dict[str, bytes], choice: st.DataObject) -> None:
    data = bytearray(icudata.write(package(*(Item(name, each) for name, each in some.items()))))
    for _ in range(choice.draw(st.integers(1, 4))):
        data[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 255))
    with contextlib.suppress(IntegrityError):
        icudata.read(bytes(data[: choice.draw(st.integers(0, len(data)))]))


LIBRARY = st.builds(
    DataLibrary,
    st.sampled_from(("x86-64", "aarch64")),
    st.from_regex(r"\Alib[a-z]{1,9}\.so\.[0-9]{1,3}\Z"),
    st.from_regex(r"\A[a-z_0-9]{1,20}\Z"),
    st.binary(min_size=1, max_size=9000),
)


@given(LIBRARY)
@settings(max_examples=30)
def test_a_library_is_read_as_it_was_written(library: DataLibrary) -> None:
    data = datalib.write(library)
    assert datalib.read(data, library.soname, library.symbol) == library
    ours = elf.read(io.BytesIO(data))
    assert ours is not None and (ours.soname, ours.machine, ours.needed) == (library.soname, library.machine, ())
    dynamic = next(s for s in ELFFile(io.BytesIO(data)).iter_segments() if isinstance(s, DynamicSegment))
    (symbol,) = [s for s in dynamic.iter_symbols() if s.name]
    assert (symbol.name, symbol["st_size"]) == (library.symbol, len(library.data))
    assert data[symbol["st_value"] :][: symbol["st_size"]] == library.data


@given(LIBRARY, st.data())
def test_a_damaged_library_is_refused_or_read_and_nothing_else(library: DataLibrary, choice: st.DataObject) -> None:
    data = bytearray(datalib.write(library))
    places = st.one_of(st.integers(0, min(500, len(data) - 1)), st.integers(max(0, len(data) - 130), len(data) - 1))
    for _ in range(choice.draw(st.integers(1, 4))):
        data[choice.draw(places)] = choice.draw(st.integers(0, 255))
    with contextlib.suppress(IntegrityError):
        datalib.read(bytes(data[: choice.draw(st.integers(0, len(data)))]), library.soname, library.symbol)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="the loader is another machine's")
def test_the_loader_finds_the_constant(tmp_path: Path) -> None:
    machine = {"x86_64": "x86-64", "aarch64": "aarch64"}[platform.machine()]
    data = bytes(range(256)) * 100
    path = tmp_path / "libconstant.so.1"
    path.write_bytes(datalib.write(DataLibrary(machine, path.name, "constant_dat", data)))
    loaded = ctypes.CDLL(str(path))
    assert bytes((ctypes.c_char * len(data)).in_dll(loaded, "constant_dat")) == data
    assert ctypes.addressof(ctypes.c_char.in_dll(loaded, "constant_dat")) % 16 == 0
    with pytest.raises(ValueError, match="undefined symbol"):
        ctypes.c_char.in_dll(loaded, "another_dat")


SOURCES = {
    "index": 'index:table(nofallback){ InstalledLocales{ de{""} de_AT{""} en{""} } Version{"1"} }',
    "child": """child{
        %%Parent{"other"}
        %%DEPENDENCY{ "line.brk", "word.brk" }
        deep{ a{ b:alias{"/ICUDATA-coll/root/x"} } }
        many:array{ {1, 2} :alias{"third/x"} }
        bytes:bin{ 00112233 }
        numbers:intvector{ 1, 2 }
    }""",
    "old": 'old{ "%%ALIAS"{"new_NEW"} }',
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Bundles as ICU's own compiler makes them."""
    if not shutil.which("genrb"):
        pytest.skip("no genrb here: install the package icu-devtools")
    folder = tmp_path_factory.mktemp("genrb")
    for name, text in SOURCES.items():
        (folder / f"{name}.txt").write_text(text)
        subprocess.run(["genrb", "-q", "-d", str(folder), f"{name}.txt"], cwd=folder, check=True)
    return {name: (folder / f"{name}.res").read_bytes() for name in SOURCES}


def test_what_a_bundle_refers_to(compiled: dict[str, bytes]) -> None:
    child = icures.Bundle(compiled["child"]).references()
    assert (child.parent, child.named) == ("other", ("line.brk", "word.brk"))
    assert sorted(child.borrowed) == ["/ICUDATA-coll/root/x", "third/x"]
    assert icures.Bundle(compiled["old"]).references().alias == "new_NEW"


def test_an_index_with_fewer_locales(compiled: dict[str, bytes]) -> None:
    index = icures.Bundle(compiled["index"])
    tables = frozenset({"InstalledLocales"})
    for wanted in ({"de", "de_AT", "en"}, {"de_AT"}, {"de", "en"}, set()):
        fewer = icures.with_fewer(index, tables, wanted.__contains__)
        again = icures.Bundle(fewer)
        rows = dict(again.table(again.root))
        assert {key for key, _ in again.table(rows["InstalledLocales"])} == wanted
        assert again.text(rows["Version"]) == "1"
        assert len(fewer) == len(compiled["index"])


@given(st.sampled_from(sorted(SOURCES)), st.data())
def test_a_damaged_bundle_is_refused_or_read_and_nothing_else(
    compiled: dict[str, bytes], name: str, choice: st.DataObject
) -> None:
    data = bytearray(compiled[name])
    for _ in range(choice.draw(st.integers(1, 6))):
        data[choice.draw(st.integers(0, len(data) - 1))] = choice.draw(st.integers(0, 255))
    with contextlib.suppress(IntegrityError):
        bundle = icures.Bundle(bytes(data[: choice.draw(st.integers(0, len(data)))]))
        bundle.references()
        icures.with_fewer(bundle, frozenset({"InstalledLocales"}), lambda key: key < "de")
