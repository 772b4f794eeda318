"""What dpkg's own records say of an image: which packages are installed, and which paths are theirs.

Records are those of dpkg (deb(5), dpkg-query(1), dpkg-divert(1)), and of distroless images, which have a paragraph and
a list of checksums for each package in ``status.d`` instead.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from oslet.build.files import Files
from oslet.errors import BuildError, IntegrityError
from oslet.formats.deb822 import paragraphs
from oslet.model.tree import Entry

STATUS = "/var/lib/dpkg/status"
STATUS_D = "/var/lib/dpkg/status.d"
INFO = "/var/lib/dpkg/info"
DIVERSIONS = "/var/lib/dpkg/diversions"
MAX_PACKAGES = 20_000
MAX_LISTED = 1_000_000
"""Packages of an image, and paths that all their lists together may name."""
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,200}")
_VERSION = re.compile(r"[A-Za-z0-9.+:~-]{1,200}")
_ARCH = re.compile(r"[a-z0-9-]{1,40}")


class Installed(NamedTuple):
    """One package: its record's file, that record's text, and where its lists of files stand."""

    name: str
    version: str
    arch: str
    record: str
    text: str
    lists: str
    fields: Mapping[str, str]


def installed(files: Files) -> tuple[Installed, ...]:
    """The packages that are installed, by name; none where there is no dpkg. IntegrityError for records that are none.

    Of a package that is there for two architectures, the second is called ``name:arch``.
    """
    found: dict[str, Installed] = {}
    for record, text in _records(files):
        for fields in paragraphs(text, where=record):
            if fields.get("status", "install ok installed").split()[-1] != "installed":
                continue
            one = _installed(files, record, fields)
            name = one.name if one.name not in found else f"{one.name}:{one.arch}"
            found[name] = one._replace(name=name)
            if len(found) > MAX_PACKAGES:
                raise IntegrityError(f"more than {MAX_PACKAGES} packages", where=record)
    return tuple(found[name] for name in sorted(found))


def owners(files: Files, packages: Sequence[Installed]) -> dict[str, str]:
    """Path as it stands in the image → the package that dpkg says it is of; of a shared folder, the first by name."""
    diverted = _diversions(files)
    owned: dict[str, str] = {}
    left = MAX_LISTED
    for package in packages:
        for path in _listed(files, package):
            left = _one_less(left)
            to = diverted.get(path)
            at = stands(files, to[0] if to and to[1] != package.name else path)
            if at:
                owned.setdefault(at, package.name)
    return owned


def altered(files: Files, packages: Sequence[Installed], owned: Mapping[str, str]) -> dict[str, str]:
    """Path → package of files that are no longer as their package brought them: someone put another there."""
    found = {}
    seen: set[str] = set()
    left = MAX_LISTED
    for package in packages:
        for path, said in _sums(files, package):
            left = _one_less(left)
            at = stands(files, path)
            entry = files.get(at) if at not in seen and owned.get(at) == package.name else None
            seen.add(at)
            if entry is not None and entry.kind == "file" and _md5(files, entry) != said:
                found[at] = package.name
    return found


def _one_less(left: int) -> int:
    if not left:
        raise IntegrityError(f"dpkg's lists name more than {MAX_LISTED} paths", where=INFO)
    return left - 1


def _records(files: Files) -> Iterator[tuple[str, str]]:
    if files.is_file(STATUS):
        yield STATUS, files.text(STATUS)
    for name in files.names(STATUS_D):
        path = f"{STATUS_D}/{name}"
        if not name.endswith(".md5sums") and files.is_file(path):
            yield path, files.text(path)


def _installed(files: Files, record: str, fields: Mapping[str, str]) -> Installed:
    name, version, arch = (fields.get(key, "") for key in ("package", "version", "architecture"))
    if not (_NAME.fullmatch(name) and _VERSION.fullmatch(version) and _ARCH.fullmatch(arch)):
        raise IntegrityError(f"{name[:80]!r} {version[:80]!r} ({arch[:40]!r}) is no package", where=record)
    text = "".join(f"{key.title()}: {value}\n" for key, value in fields.items() if key not in ("status", "conffiles"))
    if record != STATUS:
        return Installed(name, version, arch, record, text, record, fields)
    base = next((b for b in (f"{INFO}/{name}:{arch}", f"{INFO}/{name}") if f"{b}.list" in files), f"{INFO}/{name}")
    return Installed(name, version, arch, record, text, base, fields)


def _listed(files: Files, package: Installed) -> Iterator[str]:
    path = f"{package.lists}.list"
    if files.is_file(path):
        yield from (line for line in files.text(path).split("\n") if line.startswith("/"))
        return
    yield from (path for path, _ in _sums(files, package))


def _sums(files: Files, package: Installed) -> Iterator[tuple[str, str]]:
    """Each path with the MD5 that its package said: of all its files but configuration, and of that."""
    path = f"{package.lists}.md5sums"
    for line in files.text(path).split("\n") if files.is_file(path) else ():
        digest, _, name = line.partition("  ")
        if name:
            yield f"/{name.lstrip('/')}", digest
    for line in package.fields.get("conffiles", "").split("\n"):
        words = line.split()
        if len(words) == 2 and words[0].startswith("/"):
            yield words[0], words[1]


def _diversions(files: Files) -> dict[str, tuple[str, str]]:
    """Diverted path → where others' file of it went, and the package (``:`` is the administrator) that asked."""
    lines = files.text(DIVERSIONS).split("\n") if files.is_file(DIVERSIONS) else []
    return {lines[i]: (lines[i + 1], lines[i + 2]) for i in range(0, len(lines) - 2, 3)}


def stands(files: Files, path: str) -> str:
    """Where a recorded path stands: through links in its folder (usrmerge). Empty when nothing does."""
    if path in files:
        return path
    path = posixpath.normpath(path)
    folder, _, name = path.rpartition("/")
    try:
        found = posixpath.join(files.resolve(folder or "/"), name)
    except BuildError:  # links in circles lead nowhere
        return ""
    return found if found in files else ""


def _md5(files: Files, entry: Entry) -> str:
    with files.store.object(entry.digest).open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
