"""A wheel is hostile until its parts are what RECORD says."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oslet.errors import IntegrityError
from oslet.formats.wheel import Limits, open_wheel
from oslet.testing.wheels import make_wheel


def read(path: Path, **limits: int) -> dict[str, bytes]:
    with open_wheel(path, limits=Limits(**limits)) as wheel:
        wheel.scripts()
        return {part.member: b"".join(wheel.chunks(part)) for part in wheel.parts()}


def test_parts_have_schemes_modes_and_contents(tmp_path: Path) -> None:
    files = {
        "app/__init__.py": "x = 1",
        "app-1.0.data/scripts/tool": "#!python\n",
        "app-1.0.data/data/share/app/doc.txt": "doc",
        "app-1.0.data/headers/app.h": "",
    }
    _, path = make_wheel(tmp_path, files=files, executable=("app/__init__.py",))
    with open_wheel(path) as wheel:
        parts = {part.member: part for part in wheel.parts()}
    places = {(p.scheme, p.path, p.executable) for m, p in parts.items() if ".dist-info" not in m}
    assert places == {
        ("purelib", "app/__init__.py", True),
        ("scripts", "tool", False),
        ("data", "share/app/doc.txt", False),
        ("headers", "app.h", False),
    }
    assert read(path)["app/__init__.py"] == b"x = 1"


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "above": ({"files": {"../evil.py": ""}}, "leads out"),
    "absolute": ({"files": {"/etc/passwd": ""}}, "leads out"),
    "above from data": ({"files": {"app-1.0.data/data/../../etc/x": ""}}, "leads out"),
    "backslash": ({"files": {"app\\..\\x.py": ""}}, "leads out"),
    "dot": ({"files": {"app/./x.py": ""}}, "leads out"),
    "control": ({"files": {"app/\n.py": ""}}, "control characters"),
    "link": ({"links": {"app/x": "/etc/shadow"}}, "link or a device"),
    "file and folder": ({"files": {"app": "", "app/x.py": ""}}, "a file and a folder"),
    "unrecorded": ({"record": "app-1.0.dist-info/RECORD,,\n"}, "isn't in RECORD"),
    "no digest": ({"record": "app/__init__.py,,0\n"}, "gives no sha256"),
    "weak digest": ({"record": "app/__init__.py,md5=1B2M2Y8AsgTpgAmY7PhCfg,0\n"}, "gives no sha256"),
    "bad record": ({"record": "a,b\n"}, "can't be read"),
    "unknown scheme": ({"files": {"app-1.0.data/lib/x": ""}}, "no known part"),
    "other's data": ({"files": {"other-1.0.data/data/x": ""}}, "not the .data folder"),
    "two infos": ({"files": {"other-1.0.dist-info/METADATA": ""}}, "not the one .dist-info"),
    "script above": ({"entry_points": "[console_scripts]\n../x = app:main\n"}, "no name for a command"),
    "script that is code": ({"entry_points": "[console_scripts]\nx = app:main.1x\n"}, "calls no Python name"),
    "script without function": ({"entry_points": "[console_scripts]\nx = app\n"}, "can't be read"),
    "no ini": ({"entry_points": "[console_scripts\n"}, "can't be read"),
    "bomb": ({"files": {"app/zero": bytes(96 << 20)}}, "unpacks to"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_wheel_is_refused_with_its_name(tmp_path: Path, case: str) -> None:
    made, message = HOSTILE[case]
    _, path = make_wheel(tmp_path, **made)
    with pytest.raises(IntegrityError, match=message) as caught:
        read(path)
    assert caught.value.where.startswith("app-1.0-py3-none-any.whl")
    assert len(str(caught.value).splitlines()) <= 12


def test_content_that_record_contradicts_is_refused(tmp_path: Path) -> None:
    _, path = make_wheel(tmp_path, files={"app.py": "good content"}, compress=False)
    path.write_bytes(path.read_bytes().replace(b"good content", b"evil content"))
    with pytest.raises(IntegrityError, match=r"can't be unpacked|isn't what RECORD says"):
        read(path)


def test_record_of_other_content_is_refused(tmp_path: Path) -> None:
    digest = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    record = "".join(f"{name},sha256={digest},\n" for name in ("app.py", *_infos("app")))
    _, path = make_wheel(tmp_path, files={"app.py": "content"}, record=record)
    with pytest.raises(IntegrityError, match="isn't what RECORD says"):
        read(path)


def _infos(name: str) -> tuple[str, ...]:
    return tuple(f"{name}-1.0.dist-info/{file}" for file in ("METADATA", "WHEEL"))


def test_counts_and_sizes_are_bounded(tmp_path: Path) -> None:
    _, path = make_wheel(tmp_path, files={f"app/{n}.py": "x" * 100 for n in range(20)})
    assert len(read(path)) == 22
    for limits in ({"members": 10}, {"member": 99}, {"total": 1000}, {"ratio": 1, "slack": 0}, {"text": 5}):
        with pytest.raises(IntegrityError):
            read(path, **limits)


def test_a_member_that_stands_twice_is_refused(tmp_path: Path) -> None:
    _, path = make_wheel(tmp_path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("app/__init__.py", "other")
    with pytest.raises(IntegrityError, match="twice"):
        read(path)


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06", b"no zip at all" * 100])
def test_what_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "app-1.0-py3-none-any.whl"
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="not a wheel"):
        read(path)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), edits=st.integers(1, 8))
def test_damage_is_refused_or_harmless(tmp_path_factory: pytest.TempPathFactory, seed: int, edits: int) -> None:
    """Whatever bytes change, either the reader says IntegrityError or every content is what it was."""
    folder = tmp_path_factory.mktemp("damage")
    entry_points = "[console_scripts]\napp = app:main\n"
    _, path = make_wheel(folder, files={"app.py": "content" * 50, "b.py": "y"}, entry_points=entry_points)
    good = read(path)
    data = bytearray(path.read_bytes())
    dice = random.Random(seed)
    for _ in range(edits):
        data[dice.randrange(len(data))] = dice.randrange(256)
    path.write_bytes(data)
    try:
        found = read(path)
    except IntegrityError:
        return
    assert {name: content for name, content in found.items() if name in good} == {
        name: good[name] for name in found if name in good
    }
