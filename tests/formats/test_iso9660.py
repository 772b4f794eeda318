"""ISO 9660: what is written is read back, by pycdlib and blkid, too; what others write is read."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pycdlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.errors import DeclarationError, IntegrityError
from oslet.formats import iso9660

FILES = {"user-data": b"#cloud-config\n" * 1000, "meta-data": b"instance-id: i\n", "network-config": b""}


def test_pycdlib_reads_the_same() -> None:
    data = iso9660.write(FILES, "cidata")
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(data))
    assert image.has_rock_ridge() and image.pvd.volume_identifier.strip() == b"cidata"
    for name, content in FILES.items():
        into = io.BytesIO()
        image.get_file_from_iso_fp(into, rr_path=f"/{name}")
        assert into.getvalue() == content
    image.close()
    assert iso9660.read(data) == FILES and len(data) % iso9660.SECTOR == 0


@pytest.mark.skipif(not shutil.which("blkid"), reason="no blkid here")
def test_its_label_is_found(tmp_path: Path) -> None:
    (tmp_path / "seed.iso").write_bytes(iso9660.write(FILES, "cidata"))
    done = subprocess.run(["blkid", "-o", "export", tmp_path / "seed.iso"], capture_output=True, text=True, check=True)
    assert {"LABEL=cidata", "TYPE=iso9660"} <= set(done.stdout.split())


@pytest.mark.parametrize("joliet", [None, 3])
@pytest.mark.parametrize("rock_ridge", [None, "1.09", "1.12"])
def test_what_pycdlib_writes_is_read(joliet: int | None, rock_ridge: str | None) -> None:
    image = pycdlib.PyCdlib()
    image.new(vol_ident="cidata", joliet=joliet, rock_ridge=rock_ridge)
    for name, plain in (("user-data", "USER_DAT"), ("meta-data", "META_DAT")):
        more: dict[str, Any] = {"rr_name": name} if rock_ridge else {}
        more |= {"joliet_path": f"/{name}"} if joliet else {}
        image.add_fp(io.BytesIO(FILES[name]), len(FILES[name]), f"/{plain}.;1", **more)
    image.add_directory("/OTHER", rr_name="other" if rock_ridge else None)
    out = io.BytesIO()
    image.write_fp(out)
    names = ("user-data", "meta-data") if rock_ridge else ("user_dat", "meta_dat")
    assert iso9660.read(out.getvalue()) == {n: FILES[k] for n, k in zip(names, ("user-data", "meta-data"))}


def test_the_same_files_make_the_same_bytes() -> None:
    assert iso9660.write(FILES, "cidata") == iso9660.write(dict(reversed(FILES.items())), "cidata")


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9._-]{0,20}", fullmatch=True), st.binary(max_size=5000), max_size=8))
def test_what_is_written_is_read(files: dict[str, bytes]) -> None:
    assert iso9660.read(iso9660.write(files, "x")) == files


@given(st.integers(16 * 2048, 23 * 2048), st.binary(min_size=1, max_size=64))
def test_damage_is_an_integrity_error_or_nothing_worse(at: int, noise: bytes) -> None:
    data = bytearray(iso9660.write(FILES, "cidata"))
    data[at : at + len(noise)] = noise
    try:
        iso9660.read(bytes(data))
    except IntegrityError:
        return


def test_what_cannot_be_written() -> None:
    for files in ({"a/b": b""}, {"": b""}, {"é": b""}, {f"n{n}": b"" for n in range(40)}):
        with pytest.raises(DeclarationError):
            iso9660.write(files, "x")
    with pytest.raises(IntegrityError):
        iso9660.read(b"no image")
