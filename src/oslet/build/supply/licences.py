"""What a package says about its licence: Debian's copyright files, and the metadata of wheels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from oslet.build.supply.expressions import both, expression, known, reference
from oslet.errors import IntegrityError
from oslet.formats.deb822 import paragraphs

MAX_TEXT = 1 << 20
"""Bytes of a copyright file or METADATA that is read; the longest known copyright file (of LLVM) has 200 KiB."""

_COMMON = re.compile(r"/usr/share/common-licenses/([A-Za-z0-9.+-]*[A-Za-z0-9+])")
_CLASSIFIERS = {
    "Apache Software License": "", "MIT License": "MIT", "MIT No Attribution License (MIT-0)": "MIT-0",
    "ISC License (ISCL)": "ISC", "Python Software Foundation License": "PSF-2.0", "zlib/libpng License": "Zlib",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0", "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only", "The Unlicense (Unlicense)": "Unlicense",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "GNU Affero General Public License v3": "AGPL-3.0-only", "PostgreSQL License": "PostgreSQL",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
}  # fmt: skip
"""Trove classifiers that mean one licence; "BSD License" and "Apache Software License" don't say which."""


class Licence(Struct, frozen=True):
    """What one package says about its licence.

    ``expression`` is SPDX's, empty when the package says nothing; ``source`` tells in a few words where it stands.
    ``texts`` are the licences in it that SPDX doesn't know, by their ``LicenseRef-…``; ``mentions`` the common licences
    that a free text names.
    """

    expression: str = ""
    source: str = "none stated"
    texts: tuple[tuple[str, str], ...] = ()
    mentions: tuple[str, ...] = ()


def of_copyright(text: str) -> Licence:
    """The licence in a Debian copyright file: every licence of its machine-readable form, or else the text itself."""
    try:
        found = list(paragraphs(text))
    except IntegrityError:
        found = []
    head = found[0] if found else {}
    if "copyright-format" not in head.get("format", "") and "dep5" not in head.get("format", "").lower():
        return _free(text)
    alone = {_synopsis(p["license"]): _body(p["license"]) for p in found[1:] if "license" in p and "files" not in p}
    texts: dict[str, str] = {}
    written = [p["license"] for p in found if "license" in p and ("files" in p or p is head)]
    made = [_read(field, alone, texts) for field in written if _synopsis(field)]
    if not made:
        return _free(text)
    return Licence(both(made), "copyright file, machine-readable", tuple(sorted(texts.items())))


def _read(field: str, alone: Mapping[str, str], texts: dict[str, str]) -> str:
    """One License field as an expression; texts of unknown licences go to ``texts``."""

    def ref(name: str) -> str:
        text = alone.get(name) or _body(field) or alone.get(_synopsis(field), "")
        text = text or f"The package calls it {name}, and gives no text."
        made = reference(name, text)
        texts[made] = text
        return made

    return expression(_synopsis(field), ref)


def _synopsis(field: str) -> str:
    return field.partition("\n")[0].strip()


def _body(field: str) -> str:
    """The text below a field's first line, unfolded (a lone dot is an empty line)."""
    lines = field.split("\n")[1:]
    return "\n".join("" if line.strip() == "." else line.removeprefix(" ") for line in lines).strip("\n")


def _free(text: str) -> Licence:
    """A licence that only its text tells."""
    if not text.strip():
        return Licence()
    ref = reference("copyright", text)
    mentions = tuple(sorted(set(_COMMON.findall(text))))
    return Licence(ref, "copyright file, free text", ((ref, text),), mentions)


def of_metadata(metadata: bytes, texts: Iterable[str], name: str) -> Licence:
    """The licence in a wheel's METADATA: License-Expression, else classifiers, else License, else licence ``texts``."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
    from packaging.metadata import parse_email

    raw, _ = parse_email(metadata)
    whole = "\n\n".join(texts)
    if stated := raw.get("license_expression", ""):
        try:
            made = canonicalize_license_expression(stated[:1000])
        except InvalidLicenseExpression:
            return _text(name, whole or stated, "METADATA: License-Expression, not SPDX's")
        refs = dict.fromkeys(re.findall(r"LicenseRef-[A-Za-z0-9.-]+", made))
        lacking = "The package gives no text."
        return Licence(made, "METADATA: License-Expression", tuple((ref, whole or lacking) for ref in refs))
    classes = [c.rpartition(" :: ")[2] for c in raw.get("classifiers", []) if c.startswith("License :: ")]
    if classes and all(_CLASSIFIERS.get(c) for c in classes):
        return Licence(both([_CLASSIFIERS[c] for c in classes]), "METADATA: classifiers")
    field = raw.get("license", "").strip()
    if "\n" not in field and (named := known(field)):
        return Licence(named, "METADATA: License")
    if recognised := _by_text(whole or field):
        return Licence(recognised, "licence file")
    if field or whole:
        return _text(name, whole or field, f"METADATA: License ({field})" if 0 < len(field) < 40 else "licence file")
    if classes:
        return _text(name, f"The package is classified as: {', '.join(classes)}.", "METADATA: classifiers")
    return Licence()


def _by_text(text: str) -> str:
    """The licence that a text is, of the few that packages name without saying which of their forms; else empty."""
    plain = " ".join(text.split()).lower()
    if len(plain) < 4000 and "redistribution and use in source and binary forms" in plain:
        if "all advertising materials" in plain or plain.count("redistribution and use") > 1:
            return ""
        return "BSD-3-Clause" if "neither the name" in plain else "BSD-2-Clause"
    return "Apache-2.0" if plain.startswith("apache license version 2.0, january 2004") else ""


def _text(name: str, text: str, source: str) -> Licence:
    ref = reference(name, text)
    return Licence(ref, source, ((ref, text),))
