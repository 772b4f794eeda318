"""``[scripts]`` of a declaration, end to end: made packages from a signed archive, in the real sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oslet.run.ids import mapping
from oslet.testing.archive import FakeArchive
from oslet.testing.makers import Made

from ..conftest import Oslet

pytestmark = [pytest.mark.slow, pytest.mark.network]

POSTINST = """#!/bin/sh
set -e
[ "$1" = configure ] && [ -z "$2" ] && [ "$DPKG_MAINTSCRIPT_PACKAGE" = app ]
busybox sh /usr/bin/frobnicate --all
"""
FROBNICATE = """#!/bin/sh
set -e
mkdir -p /var/lib/app/deep && chmod 2750 /var/lib/app
echo made > /var/lib/app/deep/new && chmod 600 /var/lib/app/deep/new
echo changed >> /etc/app.conf
rm /usr/share/app/unwanted
rm -r /usr/share/app/old && mkdir /usr/share/app/old && touch /usr/share/app/old/fresh
ln -s app.conf /etc/app.link
touch /opt/private/beside
echo rubbish > /tmp/x; echo rubbish > /run/x
"""


@pytest.fixture
def archive(tmp_path: Path, busybox: Path, runtime: None) -> Iterator[FakeArchive]:
    """``app``, whose postinst does what nobody can foresee, and a ``shell`` of busybox to do it with."""
    made = FakeArchive(tmp_path / "archive")
    applets = {f"/usr/bin/{a}": Made(link="busybox") for a in ("sh", "mkdir", "chmod", "chown", "rm", "ln", "touch")}
    made.add("shell", files={"/usr/bin/busybox": Made(busybox.read_bytes(), 0o755), **applets})
    made.add(
        "app",
        depends="shell",
        files={
            "/usr/bin/frobnicate": FROBNICATE,
            "/etc/app.conf": Made("as shipped\n", 0o640),
            "/usr/share/app/unwanted": "x",
            "/usr/share/app/old/stale": "x",
            "/opt/private": Made(kind="dir", mode=0o700),
            "/opt/app/run": "#!/bin/sh\n",
        },
        scripts={"postinst": POSTINST},
    )
    made.release()
    yield made


def declare(oslet: Oslet, archive: FakeArchive, answer: str = "", packages: str = '"app"') -> str:
    source = archive.source()
    file = oslet.folder / "app.toml"
    file.write_text(
        f'name = "app"\npackages = [{packages}]\ncommand = ["/usr/bin/frobnicate"]\n'
        f'[source]\nmirror = "{source.mirror}"\nkeyring = "{source.keyring}"\npockets = []\n{answer}\n'
    )
    return str(file)


def built(oslet: Oslet, file: str) -> dict[str, Any]:
    """The image's entries by path; a second build, its memory and all, is the same."""
    from oslet.codec import decode
    from oslet.model.tree import Tree

    image = oslet.json("build", file)
    assert oslet("build", file).stdout.strip() == image["digest"]
    home = Path(oslet.environment["OSLET_HOME"])
    (value,) = [path for path in (home / "values").rglob(image["tree"]) if path.is_file()]
    return {entry.path: entry for entry in decode(value.read_bytes(), Tree).entries}


def test_what_is_not_understood_names_package_and_line(oslet: Oslet, archive: FakeArchive) -> None:
    said = oslet("build", declare(oslet, archive), code=5).stderr
    assert "app.postinst:4" in said and "busybox sh" in said and '[scripts] app = "ignore"' in said
    assert len(said.splitlines()) <= 12


def test_ignored_it_leaves_no_trace(oslet: Oslet, archive: FakeArchive) -> None:
    entries = built(oslet, declare(oslet, archive, '[scripts]\napp = "ignore"'))
    assert "/usr/share/app/unwanted" in entries and "/var/lib/app" not in entries


def test_run_it_leaves_what_it_changed_with_a_reason(oslet: Oslet, archive: FakeArchive) -> None:
    file = declare(oslet, archive, '[scripts]\napp = "run"')
    entries = built(oslet, file)
    facts = {p: (e.kind, f"{e.mode:o}", e.uid, e.gid) for p, e in entries.items()}
    assert facts["/var/lib/app"] == ("dir", "2750", 0, 0)
    assert facts["/var/lib/app/deep/new"] == ("file", "600", 0, 0)
    assert facts["/etc/app.conf"] == ("file", "640", 0, 0)
    assert facts["/opt/private"] == ("dir", "700", 0, 0)
    assert (entries["/etc/app.link"].kind, entries["/etc/app.link"].target) == ("link", "app.conf")
    assert entries["/etc/app.conf"].size == len("as shipped\nchanged\n")
    assert "/usr/share/app/unwanted" not in entries
    assert [p for p in entries if p.startswith("/usr/share/app/old/")] == ["/usr/share/app/old/fresh"]
    assert not [p for p in entries if p.startswith(("/.oslet", "/tmp/", "/run/x", "/proc/", "/dev/"))]
    for path in ("/var/lib/app/deep/new", "/usr/share/app/unwanted"):
        assert "app's postinst made it, run in isolation as the declaration asks" in oslet("why", file, path).stdout


@pytest.mark.skipif(mapping(0, 0).single, reason="with one id nothing can be given away")
def test_owners_that_it_gives_are_the_images(oslet: Oslet, archive: FakeArchive) -> None:
    script = (
        "#!/bin/sh\nset -e\nmkdir -m 700 /var/lib/mine\necho s > /var/lib/mine/secret\nchmod 400 /var/lib/mine/secret\n"
    )
    archive.add("giver", depends="shell", scripts={"postinst": f"{script}chown -R 33:34 /var/lib/mine\n"})
    archive.release()
    entries = built(oslet, declare(oslet, archive, '[scripts]\ngiver = "run"', '"giver"'))
    facts = [(f"{e.mode:o}", e.uid, e.gid) for p, e in sorted(entries.items()) if p.startswith("/var/lib/mine")]
    assert facts == [("700", 33, 34), ("400", 33, 34)]


def test_a_script_that_fails_says_what_it_said(oslet: Oslet, archive: FakeArchive) -> None:
    archive.add("bad", depends="shell", scripts={"postinst": "#!/bin/sh\necho it is broken >&2\nexit 9\n"})
    archive.add("bare", scripts={"postinst": "#!/bin/sh\n"})
    archive.release()
    said = oslet("build", declare(oslet, archive, '[scripts]\nbad = "run"', '"bad"'), code=5).stderr
    assert "[scripts] bad" in said and "ended with status 9" in said and "it is broken" in said
    oslet.folder.joinpath("app.lock").unlink()
    said = oslet("build", declare(oslet, archive, '[scripts]\nbare = "run"', '"bare"'), code=5).stderr
    assert "bare's postinst needs a shell" in said and '"dash"' in said


def test_a_rule_stands_in_for_it(oslet: Oslet, archive: FakeArchive) -> None:
    rule = """[scripts.app]
users = ["keeper:keeper:/var/lib/app"]
directories = ["/var/lib/app:0750:keeper:keeper"]
links = { "/etc/app.link" = "app.conf" }
files = { "/etc/app.d/one" = "by rule\\n" }
"""
    file = declare(oslet, archive, rule)
    entries = built(oslet, file)
    folder = entries["/var/lib/app"]
    assert (f"{folder.mode:o}", folder.uid == folder.gid, folder.uid > 0) == ("750", True, True)
    assert entries["/etc/app.link"].target == "app.conf" and entries["/etc/app.d/one"].size == 8
    assert "the declaration's rule for app's scripts" in oslet("why", file, "/etc/app.d/one").stdout
