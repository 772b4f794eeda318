"""What each feature of an image is worth: the image cut with it and without. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from oslet.model.oslet import FeatureValue
from oslet.model.tree import Entry, Tree
from oslet.trim.cut import Given, cut
from oslet.trim.features import Price
from oslet.trim.rules import Feature, features


def prices(tree: Tree, whole: Tree, given: Given, progress: Callable[[int, int], None]) -> list[Price]:
    """The features that the packages of ``tree`` have, dearest first; ``whole`` is the tree before it was cut.

    A switch's price is the difference that it makes to the whole image: what only its paths reach comes with them.
    """
    said = dict(given.policy.features)
    there = [f for f in features().values() if f.name in said or _bytes(f, (*tree.entries, *tree.dropped))]
    size = cut(whole, given).size
    found = []
    for done, feature in enumerate(there):
        progress(done, len(there))
        price = _bytes(feature, tree.entries)
        on = said.get(feature.name) is not False if feature.after else price > 0
        if feature.after and not on:
            price = sum(e.size for e in tree.dropped if e.reason.startswith(f"feature {feature.name}:"))
        elif feature.type == "bool" and not feature.after:
            price = abs(size - cut(whole, _with(given, feature, value=not on)).size)
        default = feature.default if isinstance(feature.default, str) else str(feature.default).lower()
        found.append(Price(feature.name, feature.type, on, said.get(feature.name), default, price, feature.help))
    return sorted(found, key=lambda each: -each.bytes)


def _with(given: Given, feature: Feature, *, value: FeatureValue) -> Given:
    """As given, but for one switch."""
    others = [each for each in given.policy.features if each[0] != feature.name]
    return given._replace(policy=replace(given.policy, features=tuple(sorted([*others, (feature.name, value)]))))


def _bytes(feature: Feature, entries: Sequence[Entry]) -> int:
    return sum(e.size for e in entries if e.kind == "file" and feature.paths.fullmatch(e.path))
