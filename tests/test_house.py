"""The house rules that a machine can hold us to: linters, types, import directions, sizes, what a start may load."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

BIN = Path(sys.executable).parent


def tracked(*patterns: str) -> list[Path]:
    """The files that git knows (or, where there is no git, that stand there) of these patterns."""
    return sorted(
        p
        for pattern in patterns
        for p in ROOT.glob(pattern)
        if not {".dev", ".venv", "node_modules", "__pycache__"} & set(p.relative_to(ROOT).parts)
    )


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "--no-cache", "."),
        ("ruff", "format", "--no-cache", "--check", "."),
        ("mypy", "--no-incremental", "--cache-dir=/dev/null"),
        ("lint-imports", "--no-cache"),
    ],
    ids=lambda c: c[0] + "-" + c[1].strip("-"),
)
def test_linters_have_nothing_to_say(command: tuple[str, ...]) -> None:
    done = subprocess.run([str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_over_400_lines() -> None:
    long = {str(p.relative_to(ROOT)): n for p in tracked("src/**/*.py") if (n := len(p.read_text().splitlines())) > 400}
    assert not long


DOCUMENTS = {
    "systemd.io",
    "www.w3.org",
    "relaxng.org",
    "json-schema.org",
    "github.com",
    "distribution.github.io",
    "cyclonedx.org",
    "spdx.github.io",
    "in-toto.io",
    "slsa.dev",
}
"""Where specifications stand; nothing is fetched from there."""


def test_no_registry_is_named() -> None:
    """The repository works with any mirror: no address but examples', loopback's and specifications' stands in it."""
    files = tracked("src/**/*", "tests/**/*.py", "docs/*", "examples/**/*", "bench/*", ".ci/*", "dev", "*.md", "*.toml")
    address = re.compile(r"https?://([a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,})", re.IGNORECASE)
    named = {
        f"{path.relative_to(ROOT)}: {host}"
        for path in files
        if path.is_file()
        for host in address.findall(re.sub(r"(?m)^evidence = .*$", "", path.read_text("utf-8", "replace")))
        if host not in DOCUMENTS and not host.endswith(("example.org", "example.com", ".invalid", ".test"))
    }
    assert not named


def loaded(code: str) -> set[str]:
    """The modules that are loaded after ``code`` in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


HEAVY = {
    "click",
    "rich",
    "jinja2",
    "ssl",
    "http.client",
    "sqlite3",
    "subprocess",
    "pysequoia",
    "tree_sitter",
    "asyncio",
}


def test_import_oslet_loads_only_the_words() -> None:
    assert not loaded("import oslet") & HEAVY


def test_the_path_of_run_loads_neither_click_nor_rich() -> None:
    assert not loaded("import oslet.cli.main, oslet.cli.run") & {"click", "rich", "jinja2", "sqlite3", "tree_sitter"}


def test_help_loads_no_room() -> None:
    code = "from oslet.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not {m for m in loaded(code) if m.startswith(("oslet.build", "oslet.run", "oslet.store", "rich"))}
