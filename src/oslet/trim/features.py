"""Features: what the declaration turns on and off, checked against what there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from oslet.codec.nearest import suggestion
from oslet.errors import DeclarationError, Fault
from oslet.model.oslet import FeatureValue
from oslet.trim.rules import Feature, features

Wanted: TypeAlias = bool | Literal["reached"]
Decided: TypeAlias = Sequence[tuple[Feature, Wanted, str]]
"""Each feature that is about paths, whether they stay, and the sentence that says why."""

_TYPES: dict[str, type] = {"bool": bool, "text": str, "list": tuple}
_SPOKEN = {"bool": "true or false", "text": "text", "list": "a list"}


class Price(NamedTuple):
    """One feature of an image: whether it is there, what the declaration says of it and what holds when it doesn't, and
    the bytes of all that goes (or would come) with it."""

    name: str
    type: str
    there: bool
    said: FeatureValue | None
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
        if feature.type != "bool" or feature.after:
            continue
        value = said.get(feature.name)
        if isinstance(value, bool):
            word = "true" if value else "false"
            found.append((feature, value, f"the declaration says {word}"))
        else:
            found.append((feature, feature.default, "off unless the declaration says true"))
    return found
