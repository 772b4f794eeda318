"""The example of a stack: a page that counts its visits in Redis, both real."""

from __future__ import annotations

import shutil
import urllib.request
from collections.abc import Callable

import pytest

from ..conftest import ROOT, Oslet

pytestmark = [pytest.mark.slow, pytest.mark.network]


def test_a_page_counts_in_redis(oslet: Oslet, free_port: Callable[[], int]) -> None:
    for name in ("redis", "stack"):
        shutil.copytree(ROOT / "examples" / name, oslet.folder / name, ignore=shutil.ignore_patterns("*.lock"))
    file = oslet.folder / "stack/stack.toml"
    name, page = f"c{free_port()}", free_port()
    text = file.read_text().replace('"counter"', f'"{name}"').replace("8090", str(page))
    file.write_text(text)

    def visits() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{page}/", timeout=10) as answer:
            return str(answer.read().decode())

    try:
        came = oslet.json("up", str(file))
        assert [(each["member"], each["state"]) for each in came] == [("db", "healthy"), ("web", "healthy")]
        assert [each["url"] for each in came] == ["", f"http://127.0.0.1:{page}/"]
        assert [visits(), visits()] == ["visit 1\n", "visit 2\n"]
        oslet("down", name)
        oslet("up", str(file))
        assert visits() == "visit 3\n"
    finally:
        oslet("down", name, "--volumes")
