"""The feature ``locales``: glibc's locales beside C.UTF-8, as ``locales-all`` ships them or compiled from ``locales``.

localedef(1) is the image's own and runs in the sandbox. It would start gzip to read a character map, so the map is
unpacked for it; what it writes depends on nothing else than its sources.
"""

from __future__ import annotations

import gzip
import io
import posixpath
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from oslet.build.files import Files
from oslet.build.sandbox import Sandbox
from oslet.build.timezones import Spared
from oslet.codec.nearest import suggestion
from oslet.errors import BuildError, DeclarationError
from oslet.formats.tar import Limits, read
from oslet.trim.spared import SOURCES, folder

ORIGIN = "made:locales"
WHERE = "features.locales"
HOME = "/usr/lib/locale"
BUILT_IN = ("C", "POSIX", "C.utf8")
_LOCALEDEF = "/usr/bin/localedef"
_WARNED = 1
"""localedef's status when it wrote a locale and has something to say about it."""
MAX_CHARMAP = 64 << 20
_LIMITS = Limits(members=1000, size=64 << 20)
TIMEOUT = 300


class _Supported(NamedTuple):
    """A row of ``SUPPORTED``: the locale's name, the source that localedef reads, and its character map."""

    name: str
    source: str
    charmap: str


def locales(files: Files, wanted: Sequence[str], sandbox: Sandbox | None, spared: Spared) -> None:
    """Have every locale of ``wanted`` (``de_DE.UTF-8``) in the image, whole.

    Raises DeclarationError, with the nearest name, for one that isn't supported; BuildError when no package can give
    it, or when localedef fails.
    """
    names = {folder(name): name for name in wanted if folder(name) not in BUILT_IN}
    shipped = {name: names[name] for name in names if files.is_file(f"{HOME}/{name}/LC_CTYPE")}
    to_make = [_supported(files, names[name]) for name in names if name not in shipped]
    _only(files, shipped, f"locales = [{', '.join(wanted)}]", spared)
    if to_make:
        _compile(files, to_make, sandbox)
    if f"{SOURCES}/locales" in files and not spared(f"{SOURCES}/locales/C"):
        for name in files.names(SOURCES):
            if name != "SUPPORTED":
                files.remove(f"{SOURCES}/{name}", "sources of locales: those that the declaration names are compiled")


def _only(files: Files, shipped: Mapping[str, str], said: str, spared: Spared) -> None:
    """Leave out the compiled locales but ``shipped`` (by folder), each of which is made whole: where locales-all has
    a link into another locale, the file itself stands there, or a link to the first that stays and has the same."""
    first: dict[str, str] = {}
    for name, locale in shipped.items():
        here = f"{HOME}/{name}/"
        for entry in sorted((e for e in files if e.path.startswith(here) and e.kind != "dir"), key=lambda e: e.path):
            found = files.at(entry.path)
            if found is None or found.kind != "file":
                raise BuildError("a locale's link that leads to nothing", where=entry.path)
            reason = f"{said}: {locale}, as {entry.origin} ships it"
            path = first.setdefault(found.digest, entry.path)
            if path == entry.path:
                files.place(replace(found, path=path, reason=reason))
            else:
                target = posixpath.relpath(path, posixpath.dirname(entry.path))
                files.link(entry.path, target, origin=entry.origin, reason=reason)
    for name in files.names(HOME):
        if name not in shipped and name not in BUILT_IN and not spared(f"{HOME}/{name}/LC_CTYPE"):
            files.remove(f"{HOME}/{name}", f"{said}: {name} isn't among them")


def _supported(files: Files, name: str) -> _Supported:
    if not files.is_file(f"{SOURCES}/SUPPORTED"):
        if shipped := [each for each in files.names(HOME) if each not in BUILT_IN]:
            raise DeclarationError(
                f"there is no locale {name[:60]!r}", where=WHERE, hint=suggestion(folder(name), shipped)
            )
        raise BuildError(
            f"no package brings the locale {name[:60]!r}",
            where=WHERE,
            hint="add locales to packages (what is needed of it is compiled), or locales-all (compiled already)",
        )
    rows = list(_rows(files.text(f"{SOURCES}/SUPPORTED")))
    for row in rows:
        if folder(row.name) == folder(name):
            return row
    raise DeclarationError(
        f"there is no locale {name[:60]!r}", where=WHERE, hint=suggestion(name, [row.name for row in rows])
    )


def _rows(text: str) -> Iterator[_Supported]:
    """``de_DE.UTF-8 UTF-8``: a locale's source is its name without the character set."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and not line.startswith("#"):
            base, _, modifier = words[0].partition("@")
            source = base.partition(".")[0] + (f"@{modifier}" if modifier else "")
            yield _Supported(words[0], source, words[1])


def _compile(files: Files, rows: Sequence[_Supported], sandbox: Sandbox | None) -> None:
    if sandbox is None or not files.is_file(_LOCALEDEF):
        raise BuildError(
            f"{rows[0].name} can't be compiled: the image has no localedef" if sandbox else "there is no sandbox",
            where=WHERE,
            hint="add libc-bin to packages, or locales-all instead of locales",
        )
    trial = Files(files.store, files)
    for charmap in sorted({row.charmap for row in rows}):
        packed = f"{SOURCES}/charmaps/{charmap}.gz"
        if files.is_file(packed):
            trial.put(packed.removesuffix(".gz"), _unpacked(files, packed), origin=ORIGIN, reason="read by localedef")
    rootfs = files.store.lay_down(trial.tree())
    for row in rows:
        _make(files, row, sandbox, rootfs)


def _unpacked(files: Files, path: str) -> bytes:
    try:
        with gzip.open(io.BytesIO(files.data(path))) as stream:
            data = stream.read(MAX_CHARMAP + 1)
    except (OSError, EOFError) as error:
        raise BuildError(f"a character map that can't be unpacked: {error}", where=path) from None
    if len(data) > MAX_CHARMAP:
        raise BuildError("a character map of more than 64 MB", where=path)
    return data


def _make(files: Files, row: _Supported, sandbox: Sandbox, rootfs: Path) -> None:
    """Compile one locale in the sandbox, and take what it wrote."""
    here = f"{HOME}/{folder(row.name)}"
    command = [_LOCALEDEF, "--no-archive", "--no-hard-links", "-c", "-i", row.source, "-f", row.charmap, here]
    made = 0
    with tempfile.TemporaryDirectory(prefix="oslet-locale-") as place:
        changes = Path(place) / "changes.tar"
        done = sandbox(rootfs, command, changes=changes, timeout=TIMEOUT)
        if done.code not in (0, _WARNED):
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-3:]
            raise BuildError(f"localedef ended with status {done.code}: {' / '.join(last)[:300]}", where=row.name)
        with changes.open("rb") as layer:
            for member, chunks in read(layer, where=row.name, limits=_LIMITS):
                if member.kind == "file" and member.path.startswith(f"{here}/"):
                    reason = f"locales = [{row.name}]: compiled from the sources {row.source} and {row.charmap}"
                    files.put(member.path, b"".join(chunks), origin=ORIGIN, reason=reason)
                    made += 1
    if not made:
        raise BuildError("localedef wrote nothing", where=row.name)
