"""Features: what the declaration turns on and off, checked against what there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from oslet.codec.nearest import suggestion
from oslet.errors import DeclarationError, Fault
from oslet.model.oslet import FeatureValue
from oslet.model.tree import Entry, Tree
from oslet.trim.rules import Feature, features

Wanted: TypeAlias = bool | Literal["reached"]
Decided: TypeAlias = Sequence[tuple[Feature, Wanted, str]]
"""Each feature that is about paths, whether they stay, and the sentence that says why."""

_TYPES: dict[str, type] = {"bool": bool, "text": str, "list": tuple}
_SPOKEN = {"bool": "true or false", "text": "text", "list": "a list"}


class Price(NamedTuple):
    """One feature of an image: whether it is on, by whose word, and the bytes of what is (or would be) there."""

    name: str
    type: str
    on: bool
    value: FeatureValue | None
    default: str
    bytes: int
    help: str


def check(given: Sequence[tuple[str, FeatureValue]], where: str = "") -> None:
    """DeclarationError with every feature that isn't one, or whose value is of another type."""
    faults = []
    for name, value in given:
        at = f"{where}: features.{name}" if where else f"features.{name}"
        feature = features().get(name)
        if feature is None:
            hint = suggestion(name, features()) or "`oslet features TARGET` lists them"
            faults.append(Fault("no such feature", at, hint))
        elif not isinstance(value, _TYPES[feature.type]) and not (feature.type == "list" and isinstance(value, str)):
            faults.append(Fault(f"expected {_SPOKEN[feature.type]}", at, feature.help))
    if faults:
        raise DeclarationError.of(faults)


def decide(given: Sequence[tuple[str, FeatureValue]]) -> Decided:
    """What holds for each feature that keeps or leaves out paths."""
    said = dict(given)
    found: list[tuple[Feature, Wanted, str]] = []
    for feature in features().values():
        if feature.type != "bool":
            continue
        value = said.get(feature.name)
        if isinstance(value, bool):
            word = "true" if value else "false"
            found.append((feature, value, f"the declaration says {word}"))
        else:
            found.append((feature, feature.default, "off unless the declaration says true"))
    return found


def prices(tree: Tree, given: Sequence[tuple[str, FeatureValue]]) -> list[Price]:
    """The features that ``tree``'s packages have, dearest first. Bytes are of the paths themselves: what only they
    reach comes with them."""
    said = dict(given)
    found = []
    for feature in features().values():
        kept, left = (_bytes(tree.entries, feature), _bytes(tree.dropped, feature))
        if kept is None and left is None and feature.name not in said:
            continue
        default = feature.default if isinstance(feature.default, str) else str(feature.default).lower()
        on = kept is not None
        found.append(
            Price(
                feature.name, feature.type, on, said.get(feature.name), default, (kept or 0) + (left or 0), feature.help
            )
        )
    return sorted(found, key=lambda price: -price.bytes)


def _bytes(entries: Sequence[Entry], feature: Feature) -> int | None:
    found = [e.size for e in entries if e.kind == "file" and feature.paths.fullmatch(e.path)]
    return sum(found) if found else None
