"""What files say that they need: read from real ones, held against the field's own readers."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.trim import source
from oslet.trim.evidence import NONE, Evidence, _opened, of_text, read

STDLIB = Path(sysconfig.get_paths()["stdlib"])


def script(text: str, path: str = "/start") -> Evidence:
    return read(path, text.encode())


def test_the_first_line_names_the_interpreter() -> None:
    assert script("#!/bin/sh -e\n").interpreter == ("/bin/sh", "-e")
    assert script("#!/usr/bin/env -S python3 -I\nimport json\n").imports == ("json",)
    assert script("#!\n") == NONE


def test_a_shell_script_names_what_it_runs_and_not_what_it_says() -> None:
    said = script(
        """#!/bin/sh
# backup: not this
set -e; for f in *.txt; do gzip "$f" --fast=sort; done
if ! test -f "$data/PG_VERSION"; then "$bin/initdb" --locale=C; fi
log() { printf '%s' "$1"; }
x=$(date +%s) | exec env A=1 nice postgres -D /srv/data || true
trap 'rm -f /run/pid' EXIT
"""
    )
    assert {"gzip", "test", "initdb", "printf", "date", "rm", "env", "nice"} <= set(said.commands)
    assert not {"backup", "not", "sort", "locale", "txt", "A", "EXIT"} & set(said.commands)
    assert set(said.paths) == {"/bin/sh", "/srv/data", "/run/pid"}


def test_configuration_names_paths_and_modules() -> None:
    said = of_text(b"include /etc/nginx/modules-enabled/*.conf;\nload_module modules/ngx_http_x.so; auth pam_unix.so\n")
    assert said.paths == ("/etc/nginx/modules-enabled/",)
    assert said.plugins == ("ngx_http_x.so", "pam_unix.so")
    assert of_text(b"\0\1/etc/passwd") == NONE


def test_an_elf_file_names_libraries_paths_and_calls() -> None:
    libc = next(Path("/").glob("*lib/*-linux-gnu/libc.so.6"), None) or next(Path("/usr/lib").glob("*/libc.so.6"))
    said = read(str(libc), libc.read_bytes())
    assert said.soname == "libc.so.6"
    assert "libgcc_s.so.1" in said.loads
    assert {"/etc/nsswitch.conf", "/bin/sh"} <= set(said.paths)


def test_how_a_program_was_built_is_no_evidence() -> None:
    body = b"\0/usr/bin/real\0 '--prefix=/usr' 'PROVE=/usr/bin/prove'\0"
    assert _opened(body) == ("/usr/bin/real",)


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that a parsed file imports, as the language has it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}{'' if module.endswith('.') else '.'}{alias.name}" for alias in node.names)


@pytest.mark.parametrize("letter", "abcdefghijklmnopqrstuvwxyz_")
def test_every_import_of_the_standard_library_is_found(letter: str) -> None:
    for file in sorted(STDLIB.glob(f"{letter}*.py")) + sorted(STDLIB.glob(f"{letter}*/*.py")):
        if "site-packages" in file.parts or "lib2to3" in file.parts:
            continue
        try:
            text = file.read_text("utf-8")
            wanted = set(imported(ast.parse(text)))
        except (SyntaxError, UnicodeDecodeError):
            continue
        assert wanted <= set(source.scan(text).imports), file


def test_imports_are_found_wherever_they_stand() -> None:
    text = """
subprocess.run([sys.executable, "-c", "from t import u; import v"])
try: import a
except ImportError: import b as c, d.e
if x: from .f import (  # why
    g,  # (h)
    i as j,
)
from . import k; import l
from m \\
  import n
def o():
    return __import__("p.q"), importlib.import_module(f"r.{x}"), import_module(".s", "t")
"""
    assert set(source.scan(text).imports) >= {
        "t.u", "v", "a", "b", "d.e", ".f", ".f.g", ".f.i", ".", ".k", "l", "m", "m.n", "p.q", "r.*", ".s",
    }  # fmt: skip


def test_texts_name_modules_programs_and_shells() -> None:
    said = source.scan(
        """
PLUGINS = ["web.plugins.one", 'web.app:main']
load(f"web.protocols.{name}"); load("web.codecs." + name); load("web.kinds.%s" % name)
subprocess.run(["git", "log"]); subprocess.Popen("/usr/bin/ffmpeg"); shutil.which("node")
ctypes.util.find_library("magic")
"""
    )
    assert {"web.plugins.one", "web.app", "web.protocols.*", "web.codecs.*", "web.kinds.*"} <= set(said.mentions)
    assert {"git", "/usr/bin/ffmpeg", "node", "libmagic.so"} <= set(said.commands)
    assert not said.shell
    assert source.scan("subprocess.run(x, shell=True)").shell and source.scan("os.system('x')").shell


@given(st.text(alphabet="import from.,()\\\n #;:ab'\"", max_size=300))
def test_any_text_is_read(text: str) -> None:
    found = source.scan(text)
    assert all(found.imports)


@given(st.binary(max_size=400), st.sampled_from(["/a.py", "/etc/a", "/usr/bin/a", "/usr/share/a"]))
def test_any_bytes_are_read(data: bytes, path: str) -> None:
    for head in (b"", b"#!", b"\x7fELF\x02\x01"):
        read(path, head + data)
