"""Licence names as Debian and Python packages write them → SPDX licence expressions.

A name that SPDX doesn't know becomes a ``LicenseRef-…`` whose id holds a digest of its text, so that two packages that
mean the same text name the same licence, and two texts under one name don't.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

Ref: TypeAlias = Callable[[str], str]
"""Gives the ``LicenseRef-…`` of a name that SPDX doesn't know."""

MAX_TERMS = 200
"""Names in one expression; more can't be meant, and nesting them costs."""

_NO_BRACKETS = str.maketrans("", "", "()")
_GNU = re.compile(r"(A|L|)GPL[-_ ]?v?([1-3](?:\.[0-9])?)(?:\.0)?(-only|-or-later|\+|)", re.IGNORECASE)
_GFDL = re.compile(r"GFDL(-NIV)?-(1\.[1-3])(\+?)", re.IGNORECASE)

_OTHER_NAMES = {
    "expat": "MIT", "mit license": "MIT", "the mit license": "MIT", "mit/x11": "MIT",
    "apache-2": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache2": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0", "apache software license 2.0": "Apache-2.0",
    "bsd-2": "BSD-2-Clause", "bsd 2-clause": "BSD-2-Clause", "2-clause bsd": "BSD-2-Clause",
    "bsd-3": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause", "3-clause bsd": "BSD-3-Clause",
    "3-clause bsd license": "BSD-3-Clause", "bsd 3-clause license": "BSD-3-Clause", "new bsd": "BSD-3-Clause",
    "bsd-4": "BSD-4-Clause", "artistic": "Artistic-1.0-Perl", "artistic-1": "Artistic-1.0",
    "artistic-2": "Artistic-2.0",
    "zlib/libpng": "Zlib", "boost-1.0": "BSL-1.0", "cc0": "CC0-1.0", "psf": "PSF-2.0", "psf-2": "PSF-2.0",
    "psfl": "PSF-2.0", "python software foundation license": "PSF-2.0", "isc license": "ISC", "mpl 2.0": "MPL-2.0",
    "mpl-2": "MPL-2.0", "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "sil-1.1": "OFL-1.1",
    "apache-2-llvm-exceptions": "Apache-2.0 WITH LLVM-exception",
}  # fmt: skip
"""Usual names, in lower case, that SPDX spells in another way."""

_EXCEPTIONS = {
    "autoconf": "Autoconf-exception-generic", "libtool": "Libtool-exception", "bison": "Bison-exception-2.2",
    "texinfo": "Texinfo-exception", "font": "Font-exception-2.0", "classpath": "Classpath-exception-2.0",
    "linux-syscall-note": "Linux-syscall-note", "llvm": "LLVM-exception", "gcc": "GCC-exception-3.1",
    "gcc runtime library": "GCC-exception-3.1", "gcc-runtime-library": "GCC-exception-3.1",
}  # fmt: skip


@lru_cache(maxsize=4096)
def known(name: str) -> str:
    """The SPDX expression that one licence's name means; empty when SPDX knows none. ``name`` may be any text."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    name = " ".join(name.split())
    if len(name) > 100:
        return ""
    if gnu := _GNU.fullmatch(name):
        family, version, later = gnu.groups()
        version = version if "." in version else f"{version}.0"
        name = f"{family.upper()}GPL-{version}{'-or-later' if later in ('+', '-or-later') else '-only'}"
    elif gfdl := _GFDL.fullmatch(name):
        kind = "-no-invariants" if gfdl[1] else ""
        name = f"GFDL-{gfdl[2]}{kind}{'-or-later' if gfdl[3] else '-only'}"
    elif name.lower() == "perl":
        return "GPL-1.0-or-later OR Artistic-1.0-Perl"
    else:
        name = _OTHER_NAMES.get(name.lower(), name)
    if not re.fullmatch(r"[A-Za-z0-9.+-]+( WITH [A-Za-z0-9.-]+)?", name) or name.lower().startswith("licenseref-"):
        return ""
    try:
        return canonicalize_license_expression(name)
    except InvalidLicenseExpression:
        return ""


def reference(name: str, text: str) -> str:
    """The ``LicenseRef-…`` of a licence that SPDX doesn't know: by its name and a digest of its text."""
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", name)[:60].strip("-.") or "licence"
    return f"LicenseRef-{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def expression(written: str, ref: Ref) -> str:
    """The SPDX expression for a synopsis as the machine-readable copyright format writes one (DEP-5).

    There ``and`` binds closer than ``or``, and a comma parts what is to be read first. What doesn't read so is one
    name, unknown to SPDX.
    """
    groups = [part.split() for part in written.split(",")]
    if sum(map(len, groups)) > MAX_TERMS:
        return ref(written)
    made = ""
    for number, words in enumerate(groups):
        operator = words.pop(0).upper() if number and words and words[0].lower() in ("and", "or") else "AND"
        group = _group(words, ref)
        if group is None:
            return known(written) or ref(written)
        made = f"{_bracketed(made)} {operator} {_bracketed(group)}" if made else group
    return made


def _group(words: list[str], ref: Ref) -> str | None:
    """``A or B and C with X exception`` as SPDX; None when it isn't of that form."""
    parts = re.split(r"\s+(and|or)\s+", " ".join(words), flags=re.IGNORECASE)
    made = []
    for number, part in enumerate(parts):
        if number % 2:
            made.append(part.upper())
            continue
        name, excepted, exception = re.sub(r"\s+with\s+", "\n", part, count=1, flags=re.IGNORECASE).partition("\n")
        if not name or " " in name or name.lower() in ("and", "or", "with"):
            return None
        base = known(name)
        if excepted:
            given = _EXCEPTIONS.get(re.sub(r"\s*exceptions?$", "", exception.lower()))
            made.append(f"{base} WITH {given}" if given and base and " " not in base else ref(part))
        else:
            made.append(_bracketed(base) if base else ref(name))
    return " ".join(made)


def both(expressions: list[str]) -> str:
    """One expression that asks for all of these, each named once, in their order."""
    unique = list(dict.fromkeys(part for each in expressions for part in _demands(each) if part))
    return unique[0] if len(unique) == 1 else " AND ".join(_bracketed(each) for each in unique)


def _demands(made: str) -> list[str]:
    """The parts of an expression that all must hold; one that leaves a choice is one part."""
    return [made] if " OR " in made else made.translate(_NO_BRACKETS).split(" AND ")


def _bracketed(made: str) -> str:
    return f"({made})" if " AND " in made or " OR " in made else made
