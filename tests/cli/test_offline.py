"""Building again when the archive can't be reached: from the store, and from a folder that ``oslet vendor`` made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ..conftest import Oslet
from .test_verbs import CLOSED, World

FORGOTTEN = ("memo", "trees", "objects", "values", "images", "tags", "index")
"""All of a store but the downloads."""


def forget(home: Path, *rooms: str) -> None:
    for room in rooms:
        for path in (home / room).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.mark.slow
def test_a_lock_rebuilds_from_the_store_alone(tmp_path: Path, busybox: Path) -> None:
    world = World(tmp_path, busybox)
    file = str(world.file)
    digest = world("build", file).stdout
    shutil.rmtree(world.archive.folder)
    world.archive.folder.mkdir()
    world("rmi", "box")
    assert world("build", file).stdout == digest, "an image is gone, all else is there"
    world("gc")
    forget(tmp_path / "home", "memo", "trees")
    assert world("build", file).stdout == digest, "an image keeps its downloads, whatever is collected"
    forget(tmp_path / "home", *FORGOTTEN)
    assert world("build", file).stdout == digest, "downloads are all that a lock needs"
    world("rmi", "box")
    world("gc")
    said = world("build", file, code=7).stderr
    assert "busybox" in said and "oslet vendor" in said


@pytest.mark.slow
@pytest.mark.network
def test_a_vendored_folder_outlives_the_archive(oslet: Oslet, tmp_path: Path) -> None:
    """Wheels and all, into a store that has nothing, with no mirror and no index to ask."""
    file = str(oslet.example("flask"))
    built = oslet.json("build", file)
    vendored = oslet.json("vendor", file, str(tmp_path / "vendored"))
    assert vendored["packages"] > 20 and vendored["wheels"] >= 7
    assert len(list((tmp_path / "vendored").rglob("*.whl"))) == vendored["wheels"]
    fresh = Oslet(tmp_path / "fresh", tmp_path)
    fresh.environment |= {"OSLET_MIRROR": str(tmp_path / "vendored"), "UV_DEFAULT_INDEX": CLOSED, "UV_OFFLINE": "1"}
    fresh.environment |= {"UV_CACHE_DIR": str(tmp_path / "uv"), "PATH": str(without_runtime(tmp_path / "bin"))}
    assert fresh.json("build", file) == built


def without_runtime(folder: Path) -> Path:
    """This machine's programs but for crun, so that the folder has to have brought it."""
    folder.mkdir()
    for place in ("/usr/sbin", "/usr/bin"):
        for program in Path(place).iterdir():
            if program.name not in ("crun", "runc") and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    return folder
