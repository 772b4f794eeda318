"""What features that name things ask for: what they name, and what a later step makes it of. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from oslet.model.oslet import FeatureValue

SOURCES = "/usr/share/i18n"
"""Where the package ``locales`` has what localedef(1) compiles."""
_LOCALE = re.compile(
    r"(?P<language>[a-z]{2,3}|C|POSIX)(_(?P<region>[A-Z]{2}))?(\.(?P<codeset>[\w-]+))?(@(?P<modifier>\w+))?", re.ASCII
)


def spared_by(features: Iterable[tuple[str, FeatureValue]]) -> tuple[str, ...]:
    """Patterns to keep for the features that are set: of locales, what is compiled or to be, and their catalogues."""
    patterns: list[str] = []
    for name, value in features:
        if name == "locales":
            for locale in texts(value):
                for language in catalogues(locale):
                    patterns += [f"/usr/share/locale/{language}/**", f"/usr/share/locale-langpack/{language}/**"]
            # All compiled locales: one may be links into others, which the step that cuts them down resolves.
            patterns += ["/usr/lib/locale/**", f"{SOURCES}/**", "/usr/bin/localedef"]
    return tuple(dict.fromkeys(patterns))


def wanted_by(features: Iterable[tuple[str, FeatureValue]]) -> tuple[str, ...]:
    """Patterns of what the declaration asks for by name, whether or not anything reaches it: its locales and zones."""
    found: list[str] = []
    for name, value in features:
        if name == "locales":
            found += [f"/usr/lib/locale/{folder(locale)}/**" for locale in texts(value)]
        elif name == "timezones":
            found += [f"/usr/share/zoneinfo/{zone.replace('*', '')}" for zone in texts(value)]
    return tuple(found)


def texts(value: FeatureValue) -> tuple[str, ...]:
    """A feature's value as texts: one, or several; none for a switch."""
    if isinstance(value, bool):
        return ()
    return (value,) if isinstance(value, str) else value


def folder(locale: str) -> str:
    """Where glibc looks for a locale: ``de_DE.UTF-8`` is ``de_DE.utf8`` (glibc, intl/l10nflist.c)."""
    match = _LOCALE.fullmatch(locale)
    if not match:
        return locale.replace("/", "").replace("*", "")
    codeset = re.sub(r"[^a-z0-9]", "", (match["codeset"] or "").lower())
    if codeset.isdigit():
        codeset = f"iso{codeset}"
    base = match["language"] + (f"_{match['region']}" if match["region"] else "")
    return base + (f".{codeset}" if codeset else "") + (f"@{match['modifier']}" if match["modifier"] else "")


def catalogues(locale: str) -> tuple[str, ...]:
    """The folders of messages that gettext looks into for a locale: ``de_DE`` and ``de``, with and without modifier."""
    match = _LOCALE.fullmatch(locale)
    if not match or match["language"] in ("C", "POSIX"):
        return ()
    language, region = match["language"], match["region"]
    names = [f"{language}_{region}", language] if region else [language]
    return tuple(n + end for n in names for end in ([f"@{match['modifier']}", ""] if match["modifier"] else [""]))
