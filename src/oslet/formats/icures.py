"""ICU's resource bundles ("ResB", versions 1.1 to 3): what one refers to, and the index of locales cut to fewer.

After the header: the root resource, an array of indexes, key strings, 16-bit units, then everything else (ICU,
common/uresdata.h). A resource is a 32-bit word: a type in the upper four bits, and an offset in words, or into the
16-bit units. Bundles may keep keys and strings in the ``pool.res`` beside them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from oslet.errors import IntegrityError
from oslet.formats.icudata import header

MAX_RESOURCES = 1 << 20
MAX_REFERENCES = 10_000
MAX_TEXT = 512
"""Units of one text; what is looked for are names and paths."""
_STRING, _TABLE, _ALIAS, _TABLE32, _TABLE16, _STRING2, _ARRAY, _ARRAY16 = 0, 2, 3, 4, 5, 6, 8, 9
_KEYS_TOP, _ATTRIBUTES = 1, 5


class References(NamedTuple):
    """What a bundle needs: the bundle it stands for, the one it inherits from, items it names (``line.brk``), and the
    paths of other bundles' resources that it borrows (``/ICUDATA-coll/root/…``); empty where there is none."""

    alias: str = ""
    parent: str = ""
    named: tuple[str, ...] = ()
    borrowed: tuple[str, ...] = ()


class Bundle:
    """One bundle, with the pool that it may keep keys and strings in. Raises IntegrityError for a damaged one."""

    def __init__(self, data: bytes, pool: Bundle | None = None, *, where: str = "") -> None:
        self.where, self.pool = where, pool
        size, version = header(data, b"ResB", where=where)
        self.head, self.body = data[:size], data[size:]
        (self.root,) = self._words(0, 1)
        length = self._words(4, 1)[0]
        count = length & 0xFF
        if not 5 <= count <= 64 or not 1 <= version <= 3:
            raise self._damaged("its indexes")
        self.indexes = (length, *self._words(8, count - 1))
        attributes = self.indexes[_ATTRIBUTES] if count > _ATTRIBUTES else 0
        self.keys = 4 + 4 * count
        self.units = self.indexes[_KEYS_TOP] * 4
        self.local = self.units if self.indexes[_KEYS_TOP] > 1 + count else 0
        self.pooled, self.pooled16 = 0, 0
        if version >= 3:
            self.pooled = length >> 8 | (attributes & 0xF000) << 12
            self.pooled16 = attributes >> 16

    def table(self, resource: int) -> Iterator[tuple[str, int]]:
        """Keys and resources of a table; nothing for a resource of another type."""
        keys, values = self._table(resource)
        wide = resource >> 28 == _TABLE32
        for key, value in zip(keys, values):
            yield self._key(key, wide), value

    def text(self, resource: int) -> str:
        """A string resource's text. Raises IntegrityError for another type."""
        kind, offset = resource >> 28, resource & 0x0FFFFFFF
        if kind in (_STRING, _ALIAS):
            if offset == 0:
                return ""
            (length,) = self._words(offset * 4, 1)
            return self._utf16(offset * 4 + 4, length)
        if kind != _STRING2:
            raise self._damaged("a resource that isn't text")
        if offset < self.pooled:
            if self.pool is None:
                raise self._damaged("a string in a pool that isn't there")
            return self.pool._text2(offset)
        return self._text2(offset - self.pooled)

    def references(self) -> References:
        """What the bundle refers to, found by walking all of it."""
        special = {key: value for key, value in self.table(self.root) if key.startswith("%%")}
        named = self._inside(special.get("%%DEPENDENCY", 0))
        aliases = [each for each in self._walk() if each >> 28 == _ALIAS]
        if len(named) + len(aliases) > MAX_REFERENCES:
            raise self._damaged("too many references")
        return References(
            self.text(special.get("%%ALIAS", 0)),
            self.text(special.get("%%Parent", 0)),
            tuple(map(self.text, named)),
            tuple(map(self.text, aliases)),
        )

    def _walk(self) -> Iterator[int]:
        """Every resource that the root leads to, each once."""
        seen, todo = {self.root}, [self.root]
        looked_at = 0
        while todo:
            resource = todo.pop()
            yield resource
            inside = self._inside(resource)
            looked_at += len(inside)
            if looked_at > MAX_RESOURCES:
                raise self._damaged("too many resources")
            fresh = set(inside) - seen
            seen |= fresh
            todo += fresh

    def _inside(self, resource: int) -> tuple[int, ...]:
        """The resources in a container; none in anything else."""
        kind, offset = resource >> 28, resource & 0x0FFFFFFF
        if kind == _ARRAY and offset:
            (count,) = self._words(offset * 4, 1)
            return self._words(offset * 4 + 4, count)
        if kind == _ARRAY16:
            (count,) = self._halves(self.units + offset * 2, 1)
            return tuple(map(self._wide, self._halves(self.units + offset * 2 + 2, count)))
        return self._table(resource)[1]

    def _table(self, resource: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        kind, offset = resource >> 28, resource & 0x0FFFFFFF
        if kind == _TABLE16:
            at = self.units + offset * 2
            (count,) = self._halves(at, 1)
            return self._halves(at + 2, count), tuple(map(self._wide, self._halves(at + 2 + 2 * count, count)))
        if kind not in (_TABLE, _TABLE32) or offset == 0:
            return (), ()
        at = offset * 4
        if kind == _TABLE32:
            (count,) = self._words(at, 1)
            return self._words(at + 4, count), self._words(at + 4 + 4 * count, count)
        (count,) = self._halves(at, 1)
        keys = self._halves(at + 2, count)
        return keys, self._words(at + _padded(2 + 2 * count), count)

    def _wide(self, half: int) -> int:
        """A 16-bit resource, a string, as the 32-bit one that it stands for."""
        return _STRING2 << 28 | (half if half < self.pooled16 else half - self.pooled16 + self.pooled)

    def _key(self, key: int, wide: bool) -> str:
        if wide and key & 0x80000000:
            return self._pooled_key(key & 0x7FFFFFFF)
        if not wide and key >= self.local:
            return self._pooled_key(key - self.local)
        return self._ascii(key)

    def _pooled_key(self, offset: int) -> str:
        if self.pool is None:
            raise self._damaged("a key in a pool that isn't there")
        return self.pool._ascii(self.pool.keys + offset)

    def _ascii(self, at: int) -> str:
        end = self.body.find(b"\0", at, at + MAX_TEXT)
        if end < 0:
            raise self._damaged("a key without an end")
        return self.body[at:end].decode("latin-1")

    def _text2(self, offset: int) -> str:
        """A string of the 16-bit units: its length stands before it, or it ends with a zero."""
        at = self.units + offset * 2
        (first,) = self._halves(at, 1)
        if not 0xDC00 <= first <= 0xDFFF:
            end = at
            while self._halves(end, 1)[0] and end - at < 2 * MAX_TEXT:
                end += 2
            return self._utf16(at, (end - at) // 2)
        if first < 0xDFEF:
            return self._utf16(at + 2, first & 0x3FF)
        high, low = self._halves(at + 2, 2)
        if first < 0xDFFF:
            return self._utf16(at + 4, (first - 0xDFEF) << 16 | high)
        return self._utf16(at + 6, high << 16 | low)

    def _utf16(self, at: int, length: int) -> str:
        """``length`` units as text, cut at what anything that is looked for may have."""
        size = 2 * min(length, MAX_TEXT)
        if at + size > len(self.body):
            raise self._damaged("a text that ends early")
        return self.body[at : at + size].decode("utf-16-le", "replace")

    def _words(self, at: int, count: int) -> tuple[int, ...]:
        if at < 0 or count > MAX_RESOURCES or at + 4 * count > len(self.body):
            raise self._damaged("it ends early")
        return struct.unpack_from(f"<{count}I", self.body, at)

    def _halves(self, at: int, count: int) -> tuple[int, ...]:
        if at < 0 or at + 2 * count > len(self.body):
            raise self._damaged("it ends early")
        return struct.unpack_from(f"<{count}H", self.body, at)

    def _damaged(self, what: str) -> IntegrityError:
        return IntegrityError(f"a damaged ICU resource bundle: {what}", where=self.where)


def with_fewer(bundle: Bundle, tables: frozenset[str], keep: Callable[[str], bool]) -> bytes:
    """The bundle's bytes, header included, with fewer keys in the root's tables of these names; those that ``keep``
    doesn't choose are left out. Everything else stands where it stood, so that nothing else has to be written anew."""
    body = bytearray(bundle.body)
    for name, resource in bundle.table(bundle.root):
        kind, offset = resource >> 28, resource & 0x0FFFFFFF
        if name not in tables or kind not in (_TABLE, _TABLE16):
            continue
        at, width = (bundle.units + offset * 2, 2) if kind == _TABLE16 else (offset * 4, 4)
        keys = [key for key, _ in bundle.table(resource)]
        chosen = [n for n, key in enumerate(keys) if keep(key)]
        old = _row_places(at, width, len(keys))
        rows = [(body[k : k + 2], body[v : v + width]) for k, v in (old[n] for n in chosen)]
        struct.pack_into("<H", body, at, len(rows))
        for (key, value), (k, v) in zip(rows, _row_places(at, width, len(rows))):
            body[k : k + 2], body[v : v + width] = key, value
    return bundle.head + bytes(body)


def _row_places(at: int, width: int, count: int) -> list[tuple[int, int]]:
    """Where key and value of each row of a table stand: 16-bit keys, then values of ``width`` bytes."""
    values = at + 2 + 2 * count
    values += -values % width
    return [(at + 2 + 2 * n, values + width * n) for n in range(count)]


def _padded(size: int) -> int:
    return size + -size % 4
