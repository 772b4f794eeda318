"""Wheels are laid down as an installer would, for Debian's own Python."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from pathlib import Path

import pytest

from oslet.build.wheels import lay_wheels, site
from oslet.errors import BuildError, IntegrityError
from oslet.model.lock import Wheel
from oslet.model.tree import Contents, Entry
from oslet.store import Store
from oslet.testing.wheels import make_wheel

SITE = "/usr/local/lib/python3.13/dist-packages"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def paths(contents: Contents) -> dict[str, Entry]:
    return {entry.path: entry for entry in contents.entries}


def unpack(store: Store, contents: Sequence[Contents], root: Path) -> Path:
    for entry in (e for c in contents for e in c.entries):
        path = root / entry.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.read(entry.digest))
        path.chmod(entry.mode)
    return root


def test_each_part_goes_where_debians_python_looks(store: Store, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "app/__init__.py": "def main(): print('hello'); return 3",
        "app/native.so": b"\x7fELF",
        "app/__pycache__/app.pyc": b"evil",
        "app-1.0.data/scripts/tool": "#!python -E\nprint('tool')\n",
        "app-1.0.data/scripts/shell": "#!/bin/sh\n",
        "app-1.0.data/data/share/app/x": "x",
        "app-1.0.data/headers/app.h": "",
        "app-1.0.dist-info/INSTALLER": "pip\n",
    }
    wheel = make_wheel(tmp_path, files=files, executable=("app/native.so",), entry_points=ENTRY_POINTS)
    (contents,) = lay_wheels(store, [wheel], "3.13")
    found = paths(contents)
    assert contents.origin == "wheel:app" and contents.digest == wheel[0].sha256
    assert {path: entry.mode for path, entry in found.items()} == {
        "/usr/local/bin/hello": 0o755,
        "/usr/local/bin/shell": 0o755,
        "/usr/local/bin/tool": 0o755,
        "/usr/local/include/python3.13/app/app.h": 0o644,
        f"{SITE}/app-1.0.dist-info/INSTALLER": 0o644,
        f"{SITE}/app-1.0.dist-info/METADATA": 0o644,
        f"{SITE}/app-1.0.dist-info/RECORD": 0o644,
        f"{SITE}/app-1.0.dist-info/WHEEL": 0o644,
        f"{SITE}/app-1.0.dist-info/entry_points.txt": 0o644,
        f"{SITE}/app/__init__.py": 0o644,
        f"{SITE}/app/native.so": 0o755,
        "/usr/local/share/app/x": 0o644,
    }
    assert store.read(found["/usr/local/bin/tool"].digest) == b"#!/usr/bin/python3 -E\nprint('tool')\n"
    assert store.read(found["/usr/local/bin/shell"].digest) == b"#!/bin/sh\n"
    assert store.read(found[f"{SITE}/app-1.0.dist-info/INSTALLER"].digest) == b"oslet\n"
    assert all(entry.origin == "wheel:app" for entry in contents.entries)


ENTRY_POINTS = "[console_scripts]\nhello = app:main\n[other]\nx = y\n"


def test_record_lists_everything_with_its_digest(store: Store, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, entry_points=ENTRY_POINTS, files={"app/a,b.txt": "comma"})
    (contents,) = lay_wheels(store, [wheel], "3.13")
    root = unpack(store, [contents], tmp_path / "root")
    folder = root / SITE.lstrip("/")
    rows = list(csv.reader((folder / "app-1.0.dist-info/RECORD").read_text().splitlines()))
    assert rows == sorted(rows) and len(rows) == len(contents.entries)
    for path, digest, size in rows:
        data = (folder / path).read_bytes()
        if not path.endswith("/RECORD"):
            assert urlsafe_b64decode(digest.removeprefix("sha256=") + "=") == hashlib.sha256(data).digest()
            assert int(size) == len(data)


def test_a_console_script_calls_its_function(store: Store, tmp_path: Path) -> None:
    files = {
        "app/__init__.py": "class C:\n    @staticmethod\n    def main():\n        print('hello')\n        return 3\n"
    }
    wheel = make_wheel(tmp_path, files=files, entry_points="[gui_scripts]\nhello = app:C.main\n")
    root = unpack(store, lay_wheels(store, [wheel], "3.13"), tmp_path / "root")
    folder = str(root / SITE[1:])
    code = f"import sys; sys.path.insert(0, {folder!r}); path = sys.argv.pop(); exec(open(path).read())"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, root / "usr/local/bin/hello"], capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("hello\n", 3), done.stderr


def test_the_same_wheel_is_laid_down_once_and_equally(store: Store, tmp_path: Path) -> None:
    wheel, path = make_wheel(tmp_path)
    first = lay_wheels(store, [(wheel, path)], "3.13")
    other = lay_wheels(Store(tmp_path / "other"), [(wheel, path)], "3.13")
    path.unlink()
    assert first == other == lay_wheels(store, [(wheel, path)], "3.13")


def test_two_wheels_with_different_files_at_one_path_are_an_error(store: Store, tmp_path: Path) -> None:
    one = make_wheel(tmp_path, "one", files={"shared.py": "1", "same.py": ""})
    two = make_wheel(tmp_path, "two", files={"shared.py": "2", "same.py": ""})
    with pytest.raises(BuildError, match=r"wheel:one and wheel:two put different files at .*/shared\.py"):
        lay_wheels(store, [one, two], "3.13")


def test_a_wheel_under_anothers_name_is_refused(store: Store, tmp_path: Path) -> None:
    wheel, path = make_wheel(tmp_path)
    with pytest.raises(IntegrityError):
        lay_wheels(store, [(Wheel("other", "1.0", wheel.file, wheel.size, wheel.sha256, "", ""), path)], "3.13")


def test_it_is_what_uv_installs(store: Store, tmp_path: Path) -> None:
    """The same wheel through ``uv pip install --target``: same files, but for RECORD, INSTALLER and commands."""
    import uv

    files: dict[str, str | bytes] = {"app/__init__.py": "", "app/data/x.bin": b"\0" * 1000, "top.py": ""}
    files["app-1.0.data/purelib/pure.py"] = "1"
    wheel = make_wheel(tmp_path, files=files, entry_points=ENTRY_POINTS)
    ours = unpack(store, lay_wheels(store, [wheel], "3.13"), tmp_path / "root") / SITE[1:]
    target = tmp_path / "target"
    command = [uv.find_uv_bin(), "pip", "install", "--no-config", "--no-index", "--no-deps", "--quiet"]
    subprocess.run([*command, "--python", sys.executable, "--target", target, wheel[1]], check=True, cwd=tmp_path)
    own = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", ".lock")

    def tree(root: Path) -> dict[str, bytes]:
        found = (p for p in root.rglob("*") if p.is_file() and p.name not in own)
        return {str(p.relative_to(root)): p.read_bytes() for p in found if p.relative_to(root).parts[0] != "bin"}

    assert tree(ours) == tree(target)
    assert (target / "bin/hello").exists() and site("3.13") == SITE
