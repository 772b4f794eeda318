"""The order of versions: deb-version(7), with dpkg itself as the oracle."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oslet.solve.versions import compare, key, satisfies

ORDERED = ["1.0~~", "1.0~~a", "1.0~", "1.0-0~1", "1.0", "1.0-1", "1.0a", "1.0+b1", "1.0.1", "1.9", "1.10", "1:0.1"]

versions = st.from_regex(r"([0-9]:)?[0-9][a-z0-9.+~]{0,6}(-[a-z0-9.+~]{1,4})?", fullmatch=True)


def test_a_known_order() -> None:
    shuffled = random.Random(1).sample(ORDERED, len(ORDERED))
    assert sorted(shuffled, key=key) == ORDERED


@pytest.mark.parametrize(("a", "b"), [("1.0", "1.0-0"), ("1.0", "0:1.0"), ("1.a", "1.a0"), ("1.01", "1.1"), ("0", "")])
def test_written_differently_and_equal(a: str, b: str) -> None:
    assert compare(a, b) == 0


@given(versions, versions, versions)
def test_a_total_order(a: str, b: str, c: str) -> None:
    assert compare(a, b) == -compare(b, a)
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0


@given(versions)
def test_a_tilde_comes_before_everything(version: str) -> None:
    assert compare(version + "~", version) < 0 < compare(version + ".", version)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is the oracle")
def test_as_dpkg_has_it() -> None:
    chance = random.Random(822)
    made = ["".join(chance.choices("01a~+.z9", k=chance.randint(0, 5))) for _ in range(120)]
    texts = [f"1{text}" + chance.choice(["", "-1", "-0", "-1~a"]) for text in made] + ORDERED
    for _ in range(250):
        a, b = chance.choice(texts), chance.choice(texts)
        word = {-1: "lt", 0: "eq", 1: "gt"}[compare(a, b)]
        assert subprocess.run(["dpkg", "--compare-versions", a, word, b], check=False).returncode == 0, (a, word, b)


@pytest.mark.parametrize(
    ("operator", "holds"),
    [("<<", "1"), ("<=", "1 2"), ("=", "2"), (">=", "2 3"), (">>", "3"), ("", "1 2 3")],
)
def test_operators(operator: str, holds: str) -> None:
    assert [v for v in "123" if satisfies(v, operator, "2")] == holds.split()


@pytest.mark.parametrize("version", ["1" * 5000, "x:1", "²:1"])
def test_what_is_no_version(version: str) -> None:
    with pytest.raises(ValueError):
        key(version)
