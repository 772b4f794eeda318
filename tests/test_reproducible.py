"""Same declaration, same lock → same image digest, whatever else differs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from .conftest import ROOT, Oslet

pytestmark = [pytest.mark.slow, pytest.mark.network]

EXAMPLES = ["hello", "redis", "nginx", "web", "flask", "postgres"]

LATER = """
import sys, time
now, now_ns = time.time, time.time_ns
time.time = lambda: now() + 400 * 86400
time.time_ns = lambda: now_ns() + 400 * 86400 * 10**9
from oslet.cli.main import main
main(sys.argv[1:])
"""
"""The command line on a clock that runs 400 days ahead."""


def build(declaration: Path, home: Path, code: str, *, user: str = "", **environment: str) -> dict[str, object]:
    """The image that ``oslet build`` makes in a store of its own; ``user`` runs it as that user."""
    ordinary = [sys.executable, str(ROOT / "tests/ordinary.py"), user, sys.prefix, sys.base_prefix, str(ROOT), "--"]
    become = ["unshare", "--mount", "--propagation", "private", *ordinary] if user else []
    done = subprocess.run(
        [*become, sys.executable, "-c", code, "build", str(declaration), "--json"],
        env={**os.environ, "OSLET_HOME": str(home), "OSLET_DEBUG": "1", **environment},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    image: dict[str, object] = json.loads(done.stdout)
    return image


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_image_does_not_depend_on_how_it_was_built(example: str, oslet: Oslet, tmp_path: Path) -> None:
    here = oslet.example(example)
    oslet("lock", str(here))
    first = oslet.json("build", str(here))

    elsewhere = tmp_path / "a longer way" / "to go"
    shutil.copytree(here.parent, elsewhere)
    for path in elsewhere.rglob("*"):
        os.utime(path, (0, 0))
    vendored = tmp_path / "vendored"
    oslet("vendor", str(here), str(vendored))
    home = tmp_path / "cold"
    home.mkdir()
    before = os.umask(0o077)
    try:
        second = build(
            elsewhere / here.name,
            home,
            LATER,
            TZ="Pacific/Kiritimati",
            LC_ALL="tr_TR.UTF-8",
            PYTHONHASHSEED="7",
            OSLET_WORKERS="1",
            OSLET_MIRROR=str(vendored),
        )
    finally:
        os.umask(before)
        shutil.rmtree(home, ignore_errors=True)
    assert second["digest"] == first["digest"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("example", ["hello", "flask"])
def test_an_image_does_not_depend_on_who_built_it(example: str, oslet: Oslet) -> None:
    here = oslet.example(example)
    oslet("lock", str(here))
    first = oslet.json("build", str(here))
    room = Path(tempfile.mkdtemp(prefix="oslet-other-", dir="/tmp"))  # another user can't enter pytest's folders
    try:
        shutil.copytree(here.parent, room / "code")
        oslet("vendor", str(here), str(room / "vendored"))
        (room / "home").mkdir()
        for path in (room, *room.rglob("*")):
            shutil.chown(path, "nobody", "nogroup")
        code = "import sys; from oslet.cli.main import main; main(sys.argv[1:])"
        own = {"HOME": str(room), "TMPDIR": str(room), "OSLET_MIRROR": str(room / "vendored")}
        second = build(room / "code" / here.name, room / "home", code, user="nobody", **own)
    finally:
        shutil.rmtree(room, ignore_errors=True)
    assert second["digest"] == first["digest"]
