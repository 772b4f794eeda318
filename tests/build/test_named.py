"""You get what you name, whatever was built before in the same store."""

from __future__ import annotations

from pathlib import Path

from oslet.testing.archive import FakeArchive
from oslet.testing.makers import Made

from ..conftest import Oslet


def test_a_dependency_that_is_named_too_stays_whole(tmp_path: Path, busybox: Path) -> None:
    """Both declarations have the same packages: their trees differ by the names alone."""
    archive = FakeArchive(tmp_path / "archive")
    archive.add("app", depends="tools", files={"/usr/bin/app": Made(busybox.read_bytes(), 0o755)})
    archive.add("tools", files={"/usr/bin/tool": Made(busybox.read_bytes(), 0o755)})
    archive.release()
    source, oslet = archive.source(), Oslet(tmp_path / "home", tmp_path)
    told = f'[source]\nmirror = "{source.mirror}"\nkeyring = "{source.keyring}"\npockets = []\n'
    for packages, said in (('["app"]', "left out"), ('["app", "tools"]', "tools is named by the declaration")):
        text = f'name = "one"\npackages = {packages}\ncommand = ["app"]\nnetwork = "none"\n{told}'
        (tmp_path / "one.toml").write_text(text)
        (tmp_path / "one.lock").unlink(missing_ok=True)
        oslet("build", "one.toml")
        assert said in oslet("why", "one", "/usr/bin/tool").stdout
