"""Reads files for trimming: what each says that it needs, remembered by the package that brought it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from oslet.codec import canonical, decode
from oslet.errors import IntegrityError
from oslet.formats import elf
from oslet.model.tree import Entry
from oslet.store import Store
from oslet.trim.evidence import NONE, Evidence, of_header, read

_ROOM = "evidence"
MAX_FILE = 256 << 20
"""Bytes of the largest file that is looked through; of a larger one only what its headers say counts."""


class Reader:
    """``trim.reach.Read`` over the store's objects. ``digests`` are of what brought the origins: their evidence is
    remembered under them, for this ``edition`` of oslet; that of other origins is read anew by each build."""

    def __init__(self, store: Store, digests: Mapping[str, str], edition: str) -> None:
        self._store = store
        self._edition = edition
        self._digests = digests
        self._known: dict[str, dict[str, Evidence]] = {}
        self._new: set[str] = set()

    def __call__(self, entry: Entry) -> Evidence:
        known = self._known.get(entry.origin)
        if known is None:
            known = self._known[entry.origin] = self._recall(entry.origin)
        found = known.get(f"{entry.path} {entry.digest}")
        if found is None:
            found = known[f"{entry.path} {entry.digest}"] = self._read(entry)
            self._new.add(entry.origin)
        return found

    def remember(self) -> None:
        """Keep what was read."""
        for origin in self._new & self._digests.keys():
            self._store.remember(_ROOM, self._key(origin), canonical(self._known[origin]))
        self._new.clear()

    def _recall(self, origin: str) -> dict[str, Evidence]:
        data = self._store.recall(_ROOM, self._key(origin)) if origin in self._digests else None
        try:
            return decode(data, dict[str, Evidence]) if data else {}
        except IntegrityError:  # another version's
            return {}

    def _key(self, origin: str) -> str:
        return f"{self._edition} {origin} {self._digests[origin]}"

    def _read(self, entry: Entry) -> Evidence:
        with self._store.object(entry.digest).open("rb") as stream:
            head = stream.read(4)
            if not _telling(entry.path, head):
                return NONE
            stream.seek(0)
            return read(entry.path, stream.read()) if entry.size <= MAX_FILE else _of_header(entry.path, stream)


def _of_header(path: str, stream: BinaryIO) -> Evidence:
    try:
        header = elf.read(stream, where=path)
    except IntegrityError:  # the linker won't load it either
        return NONE
    return of_header(header) if header is not None else NONE


def _telling(path: str, head: bytes) -> bool:
    return head == b"\x7fELF" or head[:2] == b"#!" or not path.endswith((".pyc", ".gz", ".png", ".mo"))
