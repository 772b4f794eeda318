"""What scanners read: a paragraph for each package of which anything is there, digests of what is."""

from __future__ import annotations

import hashlib

from oslet.build.scripts.reading import control_fields
from oslet.build.supply.status import FOLDER, md5sums

from .world import World


def written(made: World) -> dict[str, str]:
    return {
        e.path.rpartition("/")[2]: made.store.read(e.digest).decode()
        for e in made.tree.entries
        if e.path.startswith(f"{FOLDER}/")
    }


def test_each_package_that_is_there_has_a_paragraph(made: World) -> None:
    assert set(written(made)) == {"web", "web.md5sums", "libg++1", "libg++1.md5sums"}
    assert control_fields(written(made)["libg++1"]) == {
        "Package": "libg++1",
        "Status": "install ok installed",
        "Maintainer": "Nobody <nobody@example.org>",
        "Architecture": "amd64",
        "Source": "gpp (1.0)",
        "Version": "1:1.0+b1",
        "Description": "libg++1, made for a test",
        "X-Oslet-Files": "4/5",
    }


def test_digests_are_of_kept_programs_and_libraries_only(made: World) -> None:
    assert md5sums(written(made)["web.md5sums"]) == {"/usr/bin/web": "a" * 32}
    own = hashlib.md5(b"\x7fELF", usedforsecurity=False).hexdigest()  # the package has no md5sums
    assert md5sums(written(made)["libg++1.md5sums"]) == {"/usr/lib/libg++.so.1.0": own}


def test_every_entry_says_why(made: World) -> None:
    entry = next(e for e in made.tree.entries if e.path == f"{FOLDER}/web")
    assert (entry.origin, entry.mode) == ("made:packages", 0o644)
    assert entry.reason == "scanners look here for packages: the image holds 4 of 5 files of web"
