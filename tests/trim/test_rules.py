"""Rules are data: each has a reason, a link to its evidence, and paths that it does and doesn't mean."""

from __future__ import annotations

from typing import Any

import pytest

from oslet.trim.rules import globs, kinds, rows

RULES = [(level, row) for level in ("packages", "safe") for row in rows(level)["rule"]]
KINDS = rows("kinds")["kind"]
FEATURES = rows("features")["feature"]


def name(row: Any) -> str:
    return str(row["name"]) if isinstance(row, dict) else str(row)


@pytest.mark.parametrize(("level", "row"), RULES, ids=name)
def test_a_rule_means_what_it_shows(level: str, row: dict[str, Any]) -> None:
    paths, but = globs(row["paths"]), globs(row.get("but", ()))
    assert row["evidence"].startswith("https://") and row["reason"] and row["drops"] and row["spares"]
    assert all(paths.fullmatch(path) and not but.fullmatch(path) for path in row["drops"])
    assert not any(paths.fullmatch(path) and not but.fullmatch(path) for path in row["spares"])


@pytest.mark.parametrize("row", KINDS, ids=name)
def test_a_kind_is_the_first_that_matches(row: dict[str, Any]) -> None:
    assert row["evidence"].startswith("https://") and row["reason"] and row["matches"]
    for path in row["matches"]:
        assert next(kind.name for kind in kinds() if kind.paths.fullmatch(path)) == row["name"]
    if row["effect"] == "language":
        assert row.get("by") or row.get("calls")


@pytest.mark.parametrize("row", FEATURES, ids=name)
def test_a_feature_says_what_it_is_and_where(row: dict[str, Any]) -> None:
    assert row["evidence"].startswith("https://") and row["help"] and row["type"] in ("bool", "text", "list")
    assert all(globs(row["paths"]).fullmatch(path) for path in row["matches"])
    assert row["default"] in (True, False, "reached")


def test_blind_spots_say_why() -> None:
    assert all(row["reason"] and row["from"] for row in rows("kinds")["blind"])


def test_names_are_names_of_one_thing() -> None:
    for rows_ in ([row for _, row in RULES], KINDS, FEATURES):
        names = [row["name"] for row in rows_]
        assert len(names) == len(set(names))
