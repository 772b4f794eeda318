"""Effects: what features make of a tree beyond leaving paths out; each says why in what it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from oslet.build.files import Files
from oslet.build.gconv import charsets, converters
from oslet.build.icu import icu
from oslet.build.locales import locales
from oslet.build.sandbox import Sandbox
from oslet.build.timezones import timezones
from oslet.model.oslet import FeatureValue, Policy
from oslet.trim.rules import globs
from oslet.trim.spared import texts

__all__ = ["EFFECTS", "Effect", "agree", "apply"]

Step: TypeAlias = Callable[[Files, tuple[str, ...], Sandbox | None, Callable[[str], bool]], None]


class Effect(NamedTuple):
    """One feature's effect: what its values are, an example of them, what it makes of the image, and the step."""

    name: str
    values: str
    example: str
    sentence: str
    step: Step


EFFECTS = (
    Effect(
        "icu",
        "locales of ICU",
        'icu = "en"',
        "libicudata holds these locales (a language stands for all its regions) and what every locale needs; any other "
        "works as root does. Dictionaries and multi-byte converters stay with Chinese, Japanese, Korean, Thai, Lao, "
        "Khmer and Burmese alone.",
        lambda files, wanted, sandbox, spared: icu(files, wanted),
    ),
    Effect(
        "locales",
        "locales of glibc",
        'locales = ["de_DE.UTF-8"]',
        "The image has these locales beside C.UTF-8, from locales-all or compiled from locales, and messages in their "
        "languages.",
        lambda files, wanted, sandbox, spared: locales(files, wanted, sandbox, spared),
    ),
    Effect(
        "timezones",
        "time zones",
        'timezones = ["Europe/Paris"]',
        "The system's folder of zones and PyPI's tzdata have these, UTC and GMT; no table lists another.",
        lambda files, wanted, sandbox, spared: timezones(files, wanted, spared),
    ),
    Effect(
        "charsets",
        "character sets of iconv",
        'charsets = ["EUC-JP"]',
        "iconv converts these, Unicode's, ASCII, ISO 8859-1 and -15 and Windows-1252, and lists no other.",
        lambda files, wanted, sandbox, spared: charsets(files, wanted, spared),
    ),
)
"""The features with an effect, in the order in which they are applied."""


def apply(files: Files, policy: Policy, sandbox: Sandbox | None) -> None:
    """Apply the features that ``policy`` sets; ``keep`` paths stay whatever a feature says. ``false`` and an empty list
    leave what every image has (root, C.UTF-8, UTC); ``true`` changes nothing.

    Comes before reach is looked at, so that what is made is looked at too. Raises DeclarationError for a value that a
    feature doesn't have, BuildError when the packages don't bring what it asks for.
    """
    values: Mapping[str, FeatureValue] = dict(policy.features)
    keep = globs(policy.keep) if policy.keep else None
    for effect in EFFECTS:
        if (value := values.get(effect.name, True)) is True:
            continue
        effect.step(files, texts(value), sandbox, lambda path: bool(keep and keep.fullmatch(path)))


def agree(files: Files) -> None:
    """Make configuration agree with what is left of what it lists; comes after paths were left out."""
    converters(files)
