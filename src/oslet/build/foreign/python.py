"""Python distributions that an installer put into an image, and the byte code that stands beside its modules.

What an installation consists of is in its RECORD (PEP 376, PEP 627).
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
from collections.abc import Container, Iterator
from itertools import islice
from typing import NamedTuple

from oslet.build.files import Files
from oslet.build.foreign.dpkg import stands
from oslet.model.tree import Entry

MAX_METADATA = 256 << 10
MAX_ROWS = 1_000_000
"""Bytes of a METADATA that is read, and rows of all RECORDs of an image; what is beyond is the image's own."""
_SITES = ("site-packages", "dist-packages")
_CODE = re.compile(r"(.*/)__pycache__/([^/]+)\.[a-z]+-\d+(?:\.opt-\w+)?\.pyc")
_TIMES, _UNCHECKED = b"\0\0\0\0", b"\1\0\0\0"


class Dist(NamedTuple):
    """One distribution: its normal name, where its ``dist-info`` stands, its METADATA's head, and its paths."""

    name: str
    version: str
    info: str
    head: str
    paths: tuple[str, ...]


def distributions(files: Files, owned: Container[str]) -> Iterator[Dist]:
    """The distributions in any ``site-packages`` or ``dist-packages``, but for those that are packages' (``owned``)."""
    left = MAX_ROWS
    for entry in sorted(files, key=lambda e: e.path):
        folder, _, name = entry.path.rpartition("/")
        site = folder.rpartition("/")[0]
        if name != "METADATA" or not folder.endswith(".dist-info") or entry.kind != "file" or entry.path in owned:
            continue
        if site.rpartition("/")[2] not in _SITES or entry.size > MAX_METADATA:
            continue
        head = files.text(entry.path).partition("\n\n")[0]
        facts = dict(re.findall(r"^(Name|Version):[ \t]*(\S+)[ \t]*$", head, re.MULTILINE))
        if {"Name", "Version"} <= facts.keys() and re.fullmatch(r"[A-Za-z0-9._-]{1,200}", facts["Name"]):
            rows = list(islice(_rows(files, f"{folder}/RECORD"), left))
            left -= len(rows)
            there = (stands(files, posixpath.normpath(posixpath.join(site, row))) for row in rows)
            paths = tuple(filter(None, there))
            yield Dist(normal_name(facts["Name"]), facts["Version"][:200], folder, head, paths)


def normal_name(name: str) -> str:
    """A distribution's name as it is compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def source_of(path: str) -> str:
    """The source whose byte code stands at ``path`` (PEP 3147); empty when it is no place for byte code."""
    match = _CODE.fullmatch(path)
    return f"{match[1]}{match[2]}.py" if match else ""


def lasting(files: Files, code: Entry, source: Entry, changed: int) -> bytes | None:
    """Byte code with a header that time stamps don't matter to (PEP 552), since files of a tree have none.

    None when Python wouldn't have used it in the image: another time or size of its source, changed at ``changed``.
    """
    data = files.data(code.path)
    if len(data) <= 16 or data[4:8] == _UNCHECKED:
        return data if len(data) > 16 else None
    same = (changed & 0xFFFFFFFF, source.size & 0xFFFFFFFF)
    if data[4:8] != _TIMES or (int.from_bytes(data[8:12], "little"), int.from_bytes(data[12:16], "little")) != same:
        return None
    return data[:4] + _UNCHECKED + bytes(8) + data[16:]


def _rows(files: Files, record: str) -> Iterator[str]:
    """The paths of a RECORD as they are written; none of one that can't be read."""
    if record not in files or not files.is_file(record):
        return
    try:
        yield from (row[0] for row in csv.reader(io.StringIO(files.text(record), newline="")) if row)
    except csv.Error:
        return
