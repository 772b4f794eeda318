"""How an image is cut and what it must still do: the features and checks of a declaration."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from oslet.codec.kinds import told
from oslet.codec.parts import Texts
from oslet.codec.places import Key
from oslet.model.oslet import Check, FeatureValue

_WAYS = ("run", "exec", "http")


def features(table: dict[str, Any]) -> tuple[tuple[str, FeatureValue], ...]:
    """The switches that are set, by dotted name: ``postgres = { jit = false }`` is ``postgres.jit``.

    Which names there are, and the kinds of their values, is for trimming to say.
    """
    found: dict[str, FeatureValue] = {}
    for name, value in table.items():
        inner = {f"{name}.{key}": each for key, each in value.items()} if isinstance(value, dict) else {name: value}
        for key, each in inner.items():
            found[key] = tuple(item for item in each if item is not UNSET) if isinstance(each, list) else each
    return tuple(sorted(found.items()))


def checks(table: dict[str, Any], texts: Texts) -> tuple[Check, ...]:
    """The checks in the order they are written; each has a name of its own and one way to ask."""
    found: list[Check] = []
    for i, written in enumerate(table.get("checks", ())):
        if written is UNSET or texts.faults.under(key := ("checks", i)):
            continue
        ways = [way for way in _WAYS if way in written]
        if len(ways) != 1:
            said = f"{' and '.join(ways)} are two ways to ask" if ways else "says no way to ask"
            texts.faults.add(key, said, 'write one of run = ["…"], exec = ["…"], http = "/…"')
            continue
        if written["name"] in (each.name for each in found):
            texts.faults.add((*key, "name"), f"{told(written['name'])} is named twice", "give it another name")
        if ways == ["http"] and not table.get("ports"):
            texts.faults.add((*key, "http"), "no port to ask: ports is empty", 'write ports = ["{port}"]')
        found.append(_check(written, ways[0], (*key, ways[0]), texts))
    return tuple(found)


def _check(written: dict[str, Any], way: str, key: Key, texts: Texts) -> Check:
    asked = written[way]
    if way == "http":
        return Check(written["name"], http=texts.check(key, asked))
    words = tuple(texts.check((*key, i), word) for i, word in enumerate(asked) if word is not UNSET)
    if not words:
        texts.faults.add(key, "there is no program in it", 'write the program and its arguments: ["…", "…"]')
    return Check(written["name"], run=words) if way == "run" else Check(written["name"], exec=words)
