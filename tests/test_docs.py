"""Every block of README.md and docs/ runs: files are written, commands run, and what they print is as shown."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from .conftest import ROOT, Oslet

PAGES = ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md") if p.name != "reference.md")]
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block: its language, the words after it, its text, and its line in the page."""

    language: str
    words: str
    text: str
    line: int


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text()
    return [Block(m[1], m[2].strip(), m[3], text[: m.start()].count("\n") + 1) for m in BLOCK.finditer(text)]


def matches(shown: str, printed: str) -> bool:
    """Whether ``printed`` ends with what the page shows; ``…`` stands for anything within a line."""
    pattern = "[^\n]*".join(re.escape(part) for part in shown.strip().split("…"))
    return re.search(rf"(?:^|\n){pattern}\s*$", printed) is not None


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("page", PAGES)
def test_page(page: str, oslet: Oslet) -> None:
    door = oslet.folder / ".bin"
    door.mkdir()
    (door / "oslet").write_text(f'#!/bin/sh\nexec {sys.executable} -m oslet "$@"\n')
    (door / "oslet").chmod(0o755)
    environment = {**oslet.environment, "PATH": f"{door}:{os.environ['PATH']}"}
    printed = ""
    for block in blocks(page):
        named = re.match(r"# ([\w./-]+\.\w+)\n", block.text)
        where = f"{page}:{block.line}"
        if "setup" in block.words:
            continue
        if block.language == "text":
            assert matches(block.text, printed), f"{where}: printed\n{printed}"
        elif named:
            file = oslet.folder / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
        elif block.language in ("sh", "python"):
            command = ["sh", "-e", "-c"] if block.language == "sh" else [sys.executable, "-c"]
            done = subprocess.run(
                [*command, block.text],
                cwd=oslet.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
            )
            code = int(m[1]) if (m := re.search(r"exit=(\d+)", block.words)) else 0
            assert done.returncode == code, f"{where}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            printed = done.stdout


def test_pages_link_to_what_exists() -> None:
    for page in PAGES:
        folder = (ROOT / page).parent
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / page).read_text()):
            assert (folder / Path(link)).exists(), f"{page}: {link}"


def test_the_reference_is_what_the_code_says() -> None:
    page = runpy.run_path(str(ROOT / "docs/generate.py"))["page"]
    assert (ROOT / "docs/reference.md").read_text() == page(), "run ./dev docs"
