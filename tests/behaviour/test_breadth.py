"""The most telling of ``./dev bench breadth``: plugins, languages, data and C++, trimmed with no rule of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.cases import Case, Tried, cases
from bench.peer import peer

pytestmark = [pytest.mark.slow, pytest.mark.network]

PACKAGES = ("imagemagick", "perl", "lighttpd", "curl", "php")
WHEELS = ("numpy", "lxml", "cryptography", "grpcio")
CASES = [c for kind in ("packages", "wheels") for c in cases(kind) if c.name in PACKAGES + WHEELS]


def test_there_are_forty_of_each() -> None:
    assert [len(cases("packages")), len(cases("wheels"))] == [40, 40]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_does_trimmed_what_it_must(case: Case, home: Path, tmp_path: Path) -> None:
    with peer() as somebody:
        oslet = Tried(home, tmp_path, somebody)
        image = oslet.build(case, "safe")
        verdict = oslet.check(case, image.digest)
    assert verdict.passed, verdict.said
