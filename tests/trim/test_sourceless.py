"""Byte code in place of its sources: which stay, what leads to what, and that real Python imports the rest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from oslet.build.bytecode import cached, compile_bytecode
from oslet.build.files import Files
from oslet.build.sandbox import Captured
from oslet.model.oslet import Policy
from oslet.model.tree import Entry, Tree
from oslet.store import Store
from oslet.trim.sourceless import sourceless

PYTHON = f"3.{sys.version_info.minor}"
LIB = f"/usr/lib/python{PYTHON}"
OFF = Policy(features=(("python.sources", False),))


def module(path: str, mode: int = 0o644, by: str = "", origin: str = "libpython3") -> Iterator[Entry]:
    """A source, and its byte code."""
    yield Entry(path, "file", mode, size=9, digest=path, origin=origin, reason=f"{by} imports it", by=by)
    code = cached(path, PYTHON)
    yield Entry(code, "file", 0o644, size=5, digest=code, origin="made:bytecode", reason="byte code", by=path)


def tree(*entries: Entry) -> Tree:
    return Tree(tuple(sorted(entries, key=lambda e: e.path)))


def test_byte_code_stands_where_its_source_stood_with_its_reasons() -> None:
    before = tree(*module(f"{LIB}/a.py", by="/app/x"), *module(f"{LIB}/b.py", by=f"{LIB}/a.py"))
    after = sourceless(before, OFF)
    assert [(e.path, e.by, e.digest) for e in after.entries] == [
        (f"{LIB}/a.pyc", "/app/x", cached(f"{LIB}/a.py", PYTHON)),
        (f"{LIB}/b.pyc", f"{LIB}/a.pyc", cached(f"{LIB}/b.py", PYTHON)),
    ]
    assert "imports it" in after.entries[0].reason
    assert [e.path for e in after.dropped] == [f"{LIB}/a.py", f"{LIB}/b.py"]
    assert all("python.sources" in e.reason for e in after.dropped)
    assert sourceless(after, OFF) == after
    assert sourceless(before, Policy()) == before


def test_what_is_more_than_a_module_stays_as_it_is() -> None:
    stays = tree(
        *module("/app/own.py", origin="files"),
        *module("/usr/local/lib/python-tools/run.py", 0o755),
        *module(f"{LIB}/led.py"),
        Entry("/usr/bin/led", "link", 0o777, target=f"../lib/python{PYTHON}/led.py", origin="libpython3"),
        Entry(f"{LIB}/uncompiled.py", "file", 0o644, digest="u", origin="libpython3"),
        *module("/usr/share/gdb/kept.py"),
    )
    assert sourceless(stays, OFF) == stays
    named = tree(*module(f"{LIB}/named.py"))
    assert sourceless(named, Policy(features=OFF.features, keep=(f"{LIB}/named.py",))) == named


def test_python_imports_what_is_left(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    sources = {"p/__init__.py": "from p.m import f\n", "p/m.py": "def f():\n    return __file__\n"}
    files = Files(store, ())
    for name, text in sources.items():
        files.put(f"{LIB}/{name}", text.encode(), origin="libpython3", reason="")

    def run(rootfs: Path, words: list[str], *, stdin: bytes = b"", **_: object) -> Captured:
        done = subprocess.run([sys.executable, *words[1:]], input=stdin, capture_output=True, timeout=60)
        return Captured(done.returncode, done.stdout, done.stderr)

    compile_bytecode(files, PYTHON, "one", run, lambda: tmp_path, store)  # type: ignore[arg-type]
    root = store.lay_down(sourceless(files.tree(), OFF))
    words = ["-I", "-c", f"import sys; sys.path[:] = ['{root}{LIB}', *sys.path]; import p; print(p.f(), end='')"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"{root}{LIB}/p/m.pyc", "")
    assert not list(root.rglob("*.py"))
