"""Licences: what packages write, as SPDX expressions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from license_expression import get_spdx_licensing
from packaging.licenses import canonicalize_license_expression

from oslet.build.supply.expressions import both, expression, reference
from oslet.build.supply.licences import Licence, of_copyright, of_metadata


def unknown(name: str) -> str:
    return reference(name, "its text")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Expat", "MIT"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-2.0", "GPL-2.0-only"),
        ("LGPL-2.1", "LGPL-2.1-only"),
        ("LGPL-2", "LGPL-2.0-only"),
        ("AGPL-3+", "AGPL-3.0-or-later"),
        ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("GPL-1+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0-Perl"),
        ("Expat and GPL-2 or ISC", "MIT AND GPL-2.0-only OR ISC"),
        ("Expat or GPL-2, and ISC", "(MIT OR GPL-2.0-only) AND ISC"),
        ("GPL-3+ with Bison exception", "GPL-3.0-or-later WITH Bison-exception-2.2"),
        ("GPL-2+ with OpenSSL exception", unknown("GPL-2+ with OpenSSL exception")),
        ("public-domain", unknown("public-domain")),
        ("two words", unknown("two words")),
        ("and", unknown("and")),
        ("LicenseRef-mine", unknown("LicenseRef-mine")),
    ],
)
def test_debian_names(written: str, meant: str) -> None:
    assert expression(written, unknown) == meant


SPDX = get_spdx_licensing()
words = st.sampled_from(
    ["and", "or", "with", ",", "(", ")", "GPL-2+", "Expat", "public-domain", "exception", "Bison", "é"]
)


@given(st.lists(st.one_of(st.lists(words, max_size=12).map(" ".join), st.text(max_size=30)), min_size=1, max_size=4))
def test_whatever_is_written_gives_an_expression_that_spdx_reads(written: list[str]) -> None:
    made = both([expression(each, unknown) for each in written])
    assert canonicalize_license_expression(made) == made
    assert SPDX.parse(made) is not None


@given(st.text(), st.binary())
def test_no_text_is_too_odd(text: str, data: bytes) -> None:
    for head in ("", "Format: https://www.example.org/copyright-format/1.0/\n\n"):
        assert isinstance(of_copyright(head + text), Licence)
    assert isinstance(of_metadata(data, [text], "app"), Licence)


COPYRIGHT = """\
Format: https://www.example.org/copyright-format/1.0/
Source: https://example.org

Files: *
Copyright: 2020 A. Person
License: GPL-2+

Files: lib/md5.c
Copyright: nobody
License: public-domain
 Take it and
 .
 do what you like.

Files: lib/odd.c lib/odd.h
Copyright: 2021 B. Person
License: GPL-2+ and Odd

License: GPL-2+
 The text is in /usr/share/common-licenses/GPL-2.

License: Odd
 You may, on Tuesdays.
"""


def test_a_machine_readable_copyright_file() -> None:
    found = of_copyright(COPYRIGHT)
    public = reference("public-domain", "Take it and\n\ndo what you like.")
    odd = reference("Odd", "You may, on Tuesdays.")
    assert found.expression == f"GPL-2.0-or-later AND {public} AND {odd}"
    assert dict(found.texts) == {public: "Take it and\n\ndo what you like.", odd: "You may, on Tuesdays."}
    assert found.source == "copyright file, machine-readable"


def test_a_free_text_is_its_own_licence_and_equal_texts_are_one() -> None:
    text = "Under the GPL.\nSee /usr/share/common-licenses/GPL-2.\n"
    found = of_copyright(text)
    assert found == of_copyright(text)
    assert found.texts == ((found.expression, text),)
    assert found.mentions == ("GPL-2",)
    assert of_copyright("") == Licence()


BSD = "Redistribution and use in source and binary forms … Neither the name of …"


@pytest.mark.parametrize(
    ("lines", "texts", "meant", "source"),
    [
        (["License-Expression: mit or apache-2.0"], [], "MIT OR Apache-2.0", "METADATA: License-Expression"),
        (["Classifier: License :: OSI Approved :: MIT License"], [], "MIT", "METADATA: classifiers"),
        (["License: Apache 2.0"], ["text"], "Apache-2.0", "METADATA: License"),
        (["Classifier: License :: OSI Approved :: BSD License"], [BSD], "BSD-3-Clause", "licence file"),
        (["License: Custom"], ["Do."], reference("app", "Do."), "METADATA: License (Custom)"),
        (
            ["License-Expression: not-spdx"],
            ["Do."],
            reference("app", "Do."),
            "METADATA: License-Expression, not SPDX's",
        ),
        ([], [], "", "none stated"),
    ],
)
def test_wheels(lines: list[str], texts: list[str], meant: str, source: str) -> None:
    metadata = "\n".join(["Metadata-Version: 2.4", "Name: app", "Version: 1", *lines, "", ""]).encode()
    found = of_metadata(metadata, texts, "app")
    assert (found.expression, found.source) == (meant, source)
    assert all(ref in found.expression for ref, _ in found.texts)
