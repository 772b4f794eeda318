"""Bad declarations, each with the one message a person should see: bad.txt holds them, TOML above and message below."""

from __future__ import annotations

from pathlib import Path

import pytest

from oslet.codec.declaration import MAX_DECLARATION, read_toml
from oslet.errors import DeclarationError

CASES = [
    (name, *(rest.removesuffix("\n").split("---\n")))
    for name, _, rest in (
        case.partition("\n") for case in (Path(__file__).parent / "bad.txt").read_text().split("=== ")[1:]
    )
]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app").mkdir()
    (tmp_path / "app.ini").write_text("port = {{ port }}\n")
    (tmp_path / "broken.ini").write_text("ok\n{% if x %}\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\0")
    return tmp_path / "web.toml"


def message(file: Path) -> str:
    with pytest.raises(DeclarationError) as caught:
        read_toml(file)
    assert len(str(caught.value).splitlines()) <= 12
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize(("name", "toml", "said"), CASES, ids=[name for name, *_ in CASES])
def test_says(name: str, toml: str, said: str, world: Path) -> None:
    world.write_text(toml)
    assert message(world) == said


def test_there_are_sixty() -> None:
    assert len(CASES) >= 60
    assert len({name for name, *_ in CASES}) == len(CASES)


def test_all_faults_are_carried_beyond_the_twelve_lines(world: Path) -> None:
    world.write_text('name = "web"\npackages = [' + ",\n".join(f'"P{i}"' for i in range(40)) + "]\n")
    with pytest.raises(DeclarationError) as caught:
        read_toml(world)
    assert [fault.where for fault in caught.value.faults] == [f"web.toml:{i + 2}: packages[{i + 1}]" for i in range(40)]


def test_no_such_file_suggests_the_nearest(world: Path) -> None:
    world.write_text('name = "web"\n')
    assert message(world.with_name("wbe.toml")) == "wbe.toml: no such file\n  did you mean 'web.toml'?"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'name = "web"\nhelp = "\xff"\n', "web.toml:2: isn't UTF-8\n  save the file as UTF-8"),
        (b"#" * (MAX_DECLARATION + 1), "web.toml: larger than 1 MiB\n  put long texts into files beside it"),
        (b"x = " + b"[" * 5000 + b"]" * 5000, "web.toml: nested too deeply\n  flatten it"),
        (b'name = "w\\u0000"', "web.toml:1: name: holds a NUL character\n  leave it out"),
    ],
    ids=["encoding", "size", "depth", "NUL"],
)
def test_hostile_bytes(data: bytes, said: str, world: Path) -> None:
    world.write_bytes(data)
    assert message(world) == said
