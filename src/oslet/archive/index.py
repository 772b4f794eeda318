"""A Packages file as an sqlite file, made once per digest; and several of them as what a solver chooses from.

The sqlite file stands in the store's ``index/`` folder under the digest of the Packages file and the version of this
module's tables: written under a temporary name, renamed when whole.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from oslet.errors import IntegrityError
from oslet.formats.deb822 import picker, stanzas
from oslet.solve.relations import Candidate, relations
from oslet.solve.versions import key

TABLES = 2
"""Version of the tables: a change of what is kept or how makes new files."""
MAX_PACKAGES = 1 << 20
MAX_NAMES = 1 << 20
"""Names that an index may mention or provide; bookworm's mention 107,526."""
PRIORITIES = {"required": 1, "important": 2, "standard": 3, "optional": 4, "extra": 5}
FIELDS = (
    *("Package", "Version", "Architecture", "Multi-Arch", "Essential", "Priority", "Pre-Depends", "Depends"),
    *(
        "Recommends",
        "Conflicts",
        "Breaks",
        "Provides",
        "Filename",
        "Size",
        "SHA256",
        "Suggests",
        "Replaces",
        "Enhances",
    ),
)
MENTIONS = ("Pre-Depends", "Depends", "Conflicts", "Breaks", "Recommends", "Suggests", "Replaces", "Enhances")

_COLUMNS = (
    "name TEXT, version TEXT, arch TEXT, multi_arch TEXT, essential INT, priority INT, place INT, pre_depends TEXT,"
    " depends TEXT, recommends TEXT, conflicts TEXT, breaks TEXT, provides TEXT, path TEXT, size INT, sha256 TEXT"
)
_NAMES = "name, version, arch, multi_arch, essential, priority, place, pre_depends, depends, recommends, conflicts,"
_SELECT = f"SELECT {_NAMES} breaks, provides, path, size, sha256 FROM package "


class Shelf(NamedTuple):
    """One Packages file of a source: which archive it is of, and its sqlite file."""

    archive: str
    file: Path


def file_of(folder: Path, digest: str) -> Path:
    """Where the sqlite file of a Packages file of that digest stands, made or not."""
    return folder / f"{digest}-{TABLES}.sqlite"


def write(chunks: Iterable[bytes], file: Path, *, where: str) -> None:
    """Read a Packages file into ``file``: appears whole or not at all. Raises IntegrityError on what can't be read."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    try:
        database = sqlite3.connect(temporary, isolation_level=None)
        try:
            _fill(database, chunks, where)
        finally:
            database.close()
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _fill(database: sqlite3.Connection, chunks: Iterable[bytes], where: str) -> None:
    database.execute("PRAGMA journal_mode = OFF")
    database.execute("PRAGMA synchronous = OFF")
    database.execute("BEGIN")
    database.execute(f"CREATE TABLE package ({_COLUMNS})")
    database.execute("CREATE TABLE provide (name TEXT, package INT)")
    provides: list[tuple[str, int]] = []
    database.executemany(f"INSERT INTO package VALUES ({','.join('?' * 16)})", _rows(chunks, provides, where))
    database.executemany("INSERT INTO provide VALUES (?, ?)", provides)
    database.execute("CREATE INDEX package_name ON package (name)")
    database.execute("CREATE INDEX provide_name ON provide (name)")
    database.execute("COMMIT")


def _rows(chunks: Iterable[bytes], provides: list[tuple[str, int]], where: str) -> Iterator[tuple[str | int, ...]]:
    pattern = picker(FIELDS)
    places: dict[str, int] = {}
    for number, stanza in enumerate(stanzas(chunks, where=where), 1):
        if number > MAX_PACKAGES:
            raise IntegrityError(f"over {MAX_PACKAGES} packages", where=where)
        if max(len(places), len(provides)) > MAX_NAMES:
            raise IntegrityError(f"over {MAX_NAMES} names", where=where)
        found = pattern.findall(stanza.decode(errors="replace").encode() if not stanza.isascii() else stanza)
        fields = {name.decode(): value.decode() for name, value in found}
        try:
            row = _row(fields, places)
        except (KeyError, ValueError) as error:
            name = fields.get("Package", f"number {number}")
            raise IntegrityError(f"the package {name} can't be read: {error}", where=where) from None
        if provided := fields.get("Provides"):
            provides.extend((_bare(part), number) for part in provided.split(","))
        yield row


def _row(fields: dict[str, str], places: dict[str, int]) -> tuple[str | int, ...]:
    name = fields["Package"]
    path, sha256, size = fields["Filename"], fields["SHA256"], int(fields["Size"])
    if path.startswith("/") or ".." in path.split("/") or "\\" in path:
        raise ValueError(f"its path leaves the archive: {path[:80]}")
    if len(sha256) != 64 or not 0 < size < 1 << 40 or not fields["Version"]:
        raise ValueError("its digest, size or version is none")
    place = places.setdefault(name, len(places))
    for field in MENTIONS:
        if field in fields:
            for part in fields[field].replace("|", ",").split(","):
                places.setdefault(_bare(part), len(places))
    get = fields.get
    return (
        *(name, fields["Version"], fields["Architecture"], get("Multi-Arch", "")),
        *(get("Essential") == "yes", PRIORITIES.get(get("Priority", ""), 4), place),
        *(get("Pre-Depends", ""), get("Depends", ""), get("Recommends", ""), get("Conflicts", "")),
        *(get("Breaks", ""), get("Provides", ""), path, size, sha256),
    )


def _bare(relation: str) -> str:
    """The name that a relation begins with."""
    return relation.strip().partition(" ")[0].partition("(")[0].partition(":")[0]


class Shelves:
    """Several Packages files as one: ``solve.Index`` over sqlite. Keeps what it has read."""

    def __init__(self, shelves: Sequence[Shelf]) -> None:
        self._open = [(shelf.archive, _connect(shelf.file)) for shelf in shelves]
        self._candidates: dict[str, tuple[Candidate, ...]] = {}
        self._providers: dict[str, tuple[Candidate, ...]] = {}

    def candidates(self, name: str) -> tuple[Candidate, ...]:
        if name not in self._candidates:
            found: dict[tuple[str, str], Candidate] = {}
            place = None
            for shelf, (archive, database) in enumerate(self._open):
                for row in _rows_of(database, _SELECT + "WHERE name = ?", name):
                    if place is None:  # apt numbers a name where the first index, in order, mentions it
                        place = int(row[6]) + shelf * MAX_PACKAGES * 8
                    candidate = _candidate(row, archive, place)
                    found.setdefault((candidate.version, candidate.arch), candidate)
            try:
                newest = sorted(found.values(), key=lambda c: key(c.version), reverse=True)
            except ValueError as error:
                raise IntegrityError(f"{name} has no proper version: {error}", where="the index") from None
            self._candidates[name] = tuple(newest)
        return self._candidates[name]

    def providers(self, name: str) -> tuple[Candidate, ...]:
        if name not in self._providers:
            names: dict[str, None] = {}
            for _, database in self._open:
                query = (
                    "SELECT package.name FROM provide JOIN package ON package.rowid = package WHERE provide.name = ?"
                )
                names.update(dict.fromkeys(row[0] for row in _rows_of(database, query, name)))
            newest = (self.candidates(provider)[0] for provider in names)
            self._providers[name] = tuple(c for c in newest if any(r.name == name for r in relations(c.provides)))
        return self._providers[name]

    def names(self) -> list[str]:
        names: set[str] = set()
        for _, database in self._open:
            names.update(str(row[0]) for row in _rows_of(database, "SELECT name FROM package"))
        return sorted(names)

    def close(self) -> None:
        for _, database in self._open:
            database.close()


def _candidate(row: tuple[str | int, ...], archive: str, place: int) -> Candidate:
    return Candidate._make((*row[:4], bool(row[4]), row[5], place, *row[7:13], archive, *row[13:]))


def _rows_of(database: sqlite3.Connection, query: str, *values: str) -> list[tuple[Any, ...]]:
    try:
        return database.execute(query, values).fetchall()
    except sqlite3.Error as error:
        file = database.execute("PRAGMA database_list").fetchone()[2]
        raise IntegrityError(f"the kept index is damaged: {error}", where=file, hint="remove this file") from None


def _connect(file: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        database.execute("PRAGMA mmap_size = 268435456")
        return database
    except sqlite3.Error as error:
        raise IntegrityError(f"the cached index can't be read: {error}", where=str(file), hint="remove it") from None
