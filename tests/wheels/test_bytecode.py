"""Byte code depends on the interpreter, the source and its path: on nothing else.

The host's own Python stands in for the image's: the sandbox of these tests runs it outside any, and has it look for
sources under the laid-down tree. The real one is tested where it lives.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oslet.build.bytecode import BATCH, ORIGIN, Compiled, cached, compile_bytecode
from oslet.build.files import Files
from oslet.build.sandbox import Captured
from oslet.errors import BuildError, IntegrityError
from oslet.model.tree import Entry
from oslet.store import Store

PYTHON = f"3.{sys.version_info.minor}"
SITE = f"/usr/local/lib/python{PYTHON}/dist-packages"


class Outside:
    """A sandbox that is none: the host's Python."""

    def __init__(self, *prefix: str, before: str = "") -> None:
        self.prefix = prefix
        self.before = before
        self.runs = 0

    def __call__(
        self,
        rootfs: Path,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        changes: Path | None = None,
        folders: Sequence[tuple[Path, str]] = (),
        timeout: float = 300,
    ) -> Captured:
        self.runs += 1
        words = [*self.prefix, sys.executable, *command[1:-1], self.before + command[-1]]
        done = subprocess.run(words, input=stdin, capture_output=True, timeout=timeout)
        return Captured(done.returncode, done.stdout, done.stderr)


class World:
    """A store, a tree of sources, and what became of it."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "store")
        self.folder = folder
        self.sandbox = Outside()

    def files(self, sources: dict[str, str], origin: str = "wheel:app") -> Files:
        entries = []
        for path, text in sources.items():
            data = text.encode()
            entries.append(Entry(path, "file", 0o644, size=len(data), digest=self.store.put(data), origin=origin))
        return Files(self.store, entries)

    def compile(self, files: Files, interpreter: str = "one") -> Compiled:
        rootfs = self.rootfs(files)
        return compile_bytecode(files, PYTHON, interpreter, self.sandbox, rootfs, self.store)

    def rootfs(self, files: Files) -> Callable[[], Path]:
        return lambda: self.store.lay_down(files.tree())

    def code(self, files: Files, path: str) -> bytes:
        return files.data(cached(path, PYTHON))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_module_has_unchecked_byte_code_beside_it(world: World) -> None:
    files = world.files({f"{SITE}/app/__init__.py": "def f():\n    return 'x'\n"})
    assert world.compile(files) == Compiled(1, 1, ())
    path = f"{SITE}/app/__pycache__/__init__.cpython-{PYTHON.replace('.', '')}.pyc"
    entry = files.get(path)
    assert entry is not None and (entry.mode, entry.uid, entry.origin) == (0o644, 0, ORIGIN)
    assert entry.reason == f"byte code of {SITE}/app/__init__.py, so that a start need not compile it"
    data = files.data(path)
    assert data[:8] == importlib.util.MAGIC_NUMBER + b"\x01\0\0\0"
    assert data[8:16] == importlib.util.source_hash(b"def f():\n    return 'x'\n")
    code = marshal.loads(data[16:])
    assert isinstance(code, CodeType) and code.co_filename == f"{SITE}/app/__init__.py"


def test_what_python_would_import_is_compiled_and_nothing_else(world: World) -> None:
    places = {
        f"/usr/lib/python{PYTHON}/a.py": "",
        "/usr/lib/python3/dist-packages/b.py": "",
        f"{SITE}/c.py": "",
        f"{SITE}/d.txt": "",
        "/usr/share/doc/e.py": "",
    }
    files = world.files(places)
    for entry in world.files({"/app/f.py": ""}, "files"):
        files.place(entry)
    files.link(f"{SITE}/g.py", "c.py", origin="wheel:app", reason="")
    files.link(f"{SITE}/dangling.py", "nowhere", origin="wheel:app", reason="")
    assert world.compile(files).files == 5
    found = {entry.path for entry in files if entry.path.endswith(".pyc")}
    assert found == {cached(path, PYTHON) for path in (*list(places)[:3], "/app/f.py", f"{SITE}/g.py")}


def test_a_source_that_cant_be_compiled_is_left_with_a_reason(world: World) -> None:
    sources = {"bad": "def f(:\n", "deep": "(" * 500, "null": "\0", "good": "x = 1\n", "warns": "'\\d'\n"}
    files = world.files({f"{SITE}/{name}.py": text for name, text in sources.items()})
    done = world.compile(files)
    assert (done.files, [path for path, _ in done.skipped]) == (2, [f"{SITE}/{n}.py" for n in ("bad", "deep", "null")])
    assert done.skipped[0][1].startswith("SyntaxError: ")
    assert world.compile(world.files({f"{SITE}/{n}.py": t for n, t in sources.items()})).now == 0


DIES = """
import builtins
compiles = builtins.compile
builtins.compile = lambda source, *rest: os.kill(os.getpid(), 9) if b"die" in source else compiles(source, *rest)
"""


def test_a_source_that_kills_the_compiler_is_left_and_the_others_compiled(world: World) -> None:
    world.sandbox = Outside(before=DIES)
    sources = {f"{SITE}/{name}.py": text for name, text in {"a": "", "b": "die", "c": "x = 1", "d": "die"}.items()}
    files = world.files(sources)
    why = "the compiler died (wait status 9)"
    assert world.compile(files) == Compiled(2, 4, ((f"{SITE}/b.py", why), (f"{SITE}/d.py", why)))


def test_what_was_compiled_is_remembered_and_no_sandbox_starts(world: World) -> None:
    sources = {f"{SITE}/m{n}.py": f"x = {n}\n" for n in range(BATCH + 3)}
    first, second = world.files(sources), world.files(sources)
    assert world.compile(first).now == BATCH + 3
    assert world.compile(second) == Compiled(BATCH + 3, 0, ())
    assert first.tree() == second.tree() and world.sandbox.runs == 1
    assert world.compile(first).now == 0, "what has its byte code is done"
    assert world.compile(world.files(sources), interpreter="other").now == BATCH + 3


def test_one_changed_file_of_the_application_is_compiled_alone(world: World) -> None:
    sources = {f"/app/m{n}.py": f"x = {n}\n" for n in range(5)}
    world.compile(world.files(sources, "files"))
    changed = world.files({**sources, "/app/m3.py": "x = 'changed'\n"}, "files")
    assert world.compile(changed) == Compiled(5, 1, ())
    assert b"changed" in world.code(changed, "/app/m3.py")


def test_own_files_are_looked_at_again_on_a_tree_that_has_byte_code(world: World) -> None:
    files = world.files({f"{SITE}/a.py": "x = 1\n"})
    world.compile(files)
    for entry in world.files({f"{SITE}/a.py": "x = 'own'\n"}, "files"):
        files.place(entry)
    assert world.compile(files).now == 1
    assert b"own" in world.code(files, f"{SITE}/a.py")


def test_forgotten_contents_are_compiled_again(world: World) -> None:
    files = world.files({f"{SITE}/a.py": "x = 1\n"})
    world.compile(files)
    code = files.get(cached(f"{SITE}/a.py", PYTHON))
    assert code is not None
    world.store.object(code.digest).unlink()
    again = world.files({f"{SITE}/a.py": "x = 1\n"})
    assert world.compile(again).now == 1 and world.code(again, f"{SITE}/a.py")


MODULES = {
    "names": "class A:\n    def run(self, value): return self.value(value, 'shared', {'a', 'b', 'c'})\n",
    "more": "def value(shared, a): return {a: shared, 'b': frozenset({'x', 'run', 'value'})}\n",
    "numbers": "x = (1, 2.5, 1j, 'shared', b'bytes', None, ...)\ny = (1, 2.5, 1j, 'shared')\n",
    "empty": "",
}


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(sorted(MODULES)), width=st.integers(1, 4))
def test_byte_code_depends_on_neither_company_nor_order(
    order: list[str], width: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A declaration's own files: the same bytes alone, together, in any order."""
    world = World(tmp_path_factory.mktemp("world"))
    together = world.files({f"/app/{name}.py": MODULES[name] for name in order}, "files")
    world.compile(together)
    for name in order[:width]:
        other = World(tmp_path_factory.mktemp("other"))
        alone = other.files({f"/app/{name}.py": MODULES[name]}, "files")
        other.compile(alone)
        assert other.code(alone, f"/app/{name}.py") == world.code(together, f"/app/{name}.py")


def test_byte_code_depends_on_neither_processors_nor_environment(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    library = Path(json.__file__).parent
    sources = {f"{SITE}/json{n}/{p.name}": p.read_text() for n in range(8) for p in sorted(library.glob("*.py"))}
    first = world.files(sources)
    world.compile(first)
    other = World(tmp_path / "other")
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    other.sandbox = Outside("taskset", "-c", str(min(os.sched_getaffinity(0))))
    second = other.files(sources)
    other.compile(second)
    assert first.tree() == second.tree()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Captured(1, b"", b"ImportError: no encodings"), BuildError),
        (Captured(0, b"", b""), IntegrityError),
        (Captured(0, b"\0\0\0\0\x05\0\0\0\0code", b""), IntegrityError),
        (Captured(0, b"\x09\0\0\0\x02\0\0\0\1x", b""), IntegrityError),
        (Captured(0, b"\0\0\0\0\xff\xff\xff\xff\1x", b""), IntegrityError),
        (Captured(0, b"\0\0", b""), IntegrityError),
    ],
)
def test_an_interpreter_that_answers_nonsense_is_an_error(
    world: World, answer: Captured, error: type[Exception]
) -> None:
    files = world.files({f"{SITE}/a.py": "x = 1\n"})
    with pytest.raises(error):
        compile_bytecode(files, PYTHON, "one", lambda *_, **__: answer, world.rootfs(files), world.store)
