"""Places against the standard reader: the scanner finds every key that tomllib finds, on the line where it stands."""

from __future__ import annotations

import tomllib
from typing import Any

import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oslet.codec.places import Key, line_of, locate, spell

KEYS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x7f"), max_size=6) | st.sampled_from(
    ["a", "b", "a.b", "x-y", "3", '"', "]", "#", "="]
)
LEAVES = st.integers(-9, 9) | st.booleans() | st.text(max_size=9).filter(lambda t: t.isprintable()) | st.floats(0, 1)
VALUES = st.recursive(
    LEAVES | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=5)


def keys(value: Any, key: Key = ()) -> set[Key]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner: list[tuple[str | int, Any]] = list(pairs)
    return {(*key, name) for name, _ in inner}.union(*(keys(each, (*key, name)) for name, each in inner))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TABLES, st.booleans())
def test_finds_what_tomllib_finds(table: dict[str, Any], multiline: bool) -> None:
    text = tomli_w.dumps(table, multiline_strings=multiline)
    assert set(locate(text)) == keys(tomllib.loads(text))


LINES = ["# x = [", "", "  ", "k = '''\n\n'''", 'k = """\n\\" """ # "', "k = [ # ]\n]", "k = 'a'"]


@given(st.lists(st.sampled_from(LINES)))
def test_counts_lines_past_anything(before: list[str]) -> None:
    text = "\n".join([line.replace("k", f"k{i}", 1) for i, line in enumerate(before)] + ["here = 1"])
    tomllib.loads(text)
    assert text.splitlines()[locate(text)[("here",)] - 1] == "here = 1"


def test_every_way_to_write_a_key() -> None:
    text = """\
# a comment with [a.table]
plain = 1
dotted . key = 2
"quoted.key" = { inline = [1,
  2, { deep = 3 } ], "x\\u0041" = 4 }
list = [
  "one",  # [not]
  'two',
]

[table]
key = '''
[not.a.table]
'''
[table."sub table"]
key = 1979-05-27 07:32:00
[[many]]
n = 1
[[many]]
n = 2
[many.inner]
n = 3
[[many.list]]
[[many.list]]
n = 4
"""
    tomllib.loads(text)
    places = {spell(key): line for key, line in locate(text).items()}
    assert places["plain"] == 2
    assert places["dotted"] == places["dotted.key"] == 3
    assert places['"quoted.key".inline[1]'] == 4
    assert places['"quoted.key".inline[3].deep'] == 5
    assert places['"quoted.key".xA'] == 5
    assert (places["list[1]"], places["list[2]"]) == (7, 8)
    assert (places["table"], places["table.key"]) == (11, 12)
    assert (places['table."sub table"'], places['table."sub table".key']) == (15, 16)
    assert (places["many[1].n"], places["many[2].n"], places["many[2].inner.n"]) == (18, 20, 22)
    assert places["many[2].list[2].n"] == 25
    assert set(locate(text)) == keys(tomllib.loads(text))


def test_a_key_that_is_not_written_is_at_the_table_around_it() -> None:
    assert line_of(locate("a = 1\n[b]\nc = 2\n"), ("b", "missing")) == 2
    assert line_of(locate("a = 1\n"), ("missing",)) == 0
