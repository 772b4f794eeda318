"""Any table and any text is a declaration or a located error, never another exception."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oslet.codec import canonical, decode
from oslet.codec.declaration import lower, parse_toml
from oslet.codec.places import Key, locate, spell
from oslet.codec.shape import PARAMS, Declaration, FileTable, HealthTable, RuleTable, SourceTable
from oslet.errors import DeclarationError
from oslet.model.oslet import Oslet

WORDS = st.sampled_from(
    [
        *["", "/", "/a", "{a}", "{", "}}", "a", "A", "1", "1MiB", "1h", "a=1", "ignore", "run", "SIGTERM", "/a/../b"],
        *[
            "0600",
            "http://x",
            "..",
            ".",
            "~",
            "\0",
            "{{a}}",
            "[",
            "(",
            "a:b:/c",
            "private",
            "start",
            "build",
            "str",
            "é",
        ],
    ]
)
SCALARS = WORDS | st.integers(-2, 70000) | st.booleans() | st.floats() | st.none()
KEYS = WORDS | st.sampled_from(
    [
        *FileTable.__struct_fields__,
        *HealthTable.__struct_fields__,
        *RuleTable.__struct_fields__,
        *SourceTable.__struct_fields__,
        *{name for shape in PARAMS.values() for name in shape.__struct_fields__},
        "type",
    ]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
PARAM = st.fixed_dictionaries({"type": st.sampled_from(list(PARAMS))}, optional={
    name: VALUES for shape in PARAMS.values() for name in shape.__struct_fields__
})  # fmt: skip
TABLES = st.fixed_dictionaries(
    {"name": st.just("a") | SCALARS},
    optional={
        **{name: VALUES | st.lists(WORDS, max_size=3) for name in Declaration.__struct_fields__ if name != "name"},
        "params": st.dictionaries(st.sampled_from(["a", "b"]), PARAM, max_size=2) | VALUES,
        "files": st.dictionaries(WORDS, VALUES, max_size=2),
        "health": st.dictionaries(KEYS, VALUES, max_size=2),
        "scripts": st.dictionaries(WORDS, VALUES, max_size=2),
        "env": st.dictionaries(WORDS, WORDS, max_size=2),
    },
)
SLOW = settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))


def place(key: Key) -> tuple[int, str]:
    return 0, spell(key)


@SLOW
@given(table=TABLES)
def test_any_table(table: dict[str, Any]) -> None:
    try:
        value = lower(table, Path(__file__).parent / "nowhere", place)
    except DeclarationError as error:
        assert all(fault.what for fault in error.faults)
        assert len(str(error).splitlines()) <= 12
    else:
        assert decode(canonical(value), Oslet) == value


@SLOW
@given(st.lists(st.sampled_from(list("a=.[]{}\"'\n#, 1\\tx-")), max_size=30).map("".join))
def test_any_text(text: str) -> None:
    try:
        parse_toml(text, "x")
    except DeclarationError:
        return
    locate(text)
