"""The feature ``icu``: ICU's data for the named locales alone, in the place of the data for all.

libicudata is one constant, a package of some 4,000 items. What no locale can do without stays: root bundles, pools,
supplemental data, normalisation, character names, transliterators, single-byte converters. Where a locale has no bundle
of its own, ICU takes its parent's and at last root's, so an absent locale works as root; the indexes of locales are cut
too, so that none is listed that isn't there. Dictionaries of words (Thai, Lao, Khmer, Burmese, Chinese, Japanese) and
multi-byte converters stay with the languages that are written in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from oslet.build.files import Files
from oslet.codec.nearest import suggestion
from oslet.errors import BuildError, DeclarationError
from oslet.formats import datalib
from oslet.formats.icudata import Item, Package, bytes_per_character, read, write
from oslet.formats.icures import Bundle, References, with_fewer
from oslet.model.tree import Entry

ORIGIN = "made:icu"
WHERE = "features.icu"
ROOT = "root"
_LIBRARY = re.compile(r"libicudata\.so\.(\d+)(\.\d+)*")
_LOCALE = re.compile(r"[a-z]{2,3}(_[A-Z][a-z]{3})?(_[A-Z0-9]*)*")
_INDEX = frozenset({"InstalledLocales", "AliasLocales"})
_EAST_ASIAN = frozenset({"ja", "ko", "yue", "zh"})
_DICTIONARIES = {
    "burmesedict": frozenset({"my"}),
    "cjdict": _EAST_ASIAN,
    "khmerdict": frozenset({"km"}),
    "laodict": frozenset({"lo"}),
    "thaidict": frozenset({"th"}),
}
MAX_SIZE = 64 << 20


def icu(files: Files, wanted: Sequence[str]) -> None:
    """Replace every libicudata of the tree by one for ``wanted`` (``en``, ``de_AT``, ``root``) and what that needs.

    A language stands for all its regions. Raises DeclarationError for a locale that the data doesn't have, BuildError
    when there is no libicudata at all, IntegrityError for a library that isn't one.
    """
    found = [e for e in files if e.kind == "file" and _LIBRARY.fullmatch(e.path.rpartition("/")[2])]
    if not found:
        raise BuildError(
            "no package brings ICU's data", where=WHERE, hint="leave the feature out: there is nothing to make smaller"
        )
    for entry in found:
        _replace(files, entry, wanted)


def _replace(files: Files, entry: Entry, wanted: Sequence[str]) -> None:
    match = _LIBRARY.fullmatch(entry.path.rpartition("/")[2])
    version = match[1] if match else ""
    old = files.store.read(entry.digest, MAX_SIZE)
    library = datalib.read(old, f"libicudata.so.{version}", f"icudt{version}_dat", where=entry.path)
    package = read(library.data, where=entry.path)
    fewer = only(package, wanted, where=entry.path)
    data = datalib.write(library._replace(data=write(fewer)))
    if len(data) >= len(old):
        return  # it holds no more than that already
    said = ", ".join(wanted) or ROOT
    reason = (
        f'icu = "{said}": ICU\'s data for that and what every locale needs, {len(fewer.items)} of '
        f"{len(package.items)} items, in place of {entry.origin}'s own of {len(old)} bytes"
    )
    files.put(
        entry.path, data, mode=entry.mode, uid=entry.uid, gid=entry.gid, origin=ORIGIN,
        reason=reason
    )  # fmt: skip


def only(package: Package, wanted: Sequence[str], *, where: str = "") -> Package:
    """The package with what ``wanted`` needs, its indexes of locales cut to that. Raises DeclarationError for an
    unknown one."""
    items = {item.name: item for item in package.items}
    bundles = _Bundles(items, where)
    names = [_known(each, items) for each in wanted]
    languages = {name for name in names if "_" not in name}
    locales = set(_lineage(names, bundles))
    starting = {name for name, item in items.items() if _starts(item, languages, locales, where)}
    kept = _closed(starting, bundles, {name for name in items if _foreign(name, locales)})
    cut = (_cut(items[name], kept, bundles) for name in kept)
    return package._replace(items=tuple(sorted(cut)))


class _Bundles:
    """The resource bundles of a package, each read once."""

    def __init__(self, items: dict[str, Item], where: str) -> None:
        self.items, self.where = items, where
        self._read: dict[str, Bundle] = {}
        self._references: dict[str, References] = {}

    def bundle(self, name: str) -> Bundle:
        if name not in self._read:
            pool = f"{name.rpartition('/')[0]}/pool.res".lstrip("/")
            beside = self.bundle(pool) if pool in self.items and name != pool else None
            self._read[name] = Bundle(self.items[name].data, beside, where=f"{self.where}: {name}")
        return self._read[name]

    def references(self, name: str) -> References:
        if name not in self._references:
            self._references[name] = self.bundle(name).references()
        return self._references[name]


def _known(locale: str, items: dict[str, Item]) -> str:
    """``de-at`` as ICU writes it. Raises DeclarationError, with the nearest name, for one that ICU doesn't have."""
    language, *rest = locale.replace("-", "_").split("_")
    name = "_".join((language.lower(), *(part.title() if len(part) == 4 else part.upper() for part in rest)))
    if name != ROOT and (f"{name}.res" not in items or not _LOCALE.fullmatch(name)):
        known = (item.removesuffix(".res") for item in items if "/" not in item and item.endswith(".res"))
        raise DeclarationError(
            f"ICU has no locale {locale[:60]!r}", where=WHERE, hint=suggestion(name, filter(_LOCALE.fullmatch, known))
        )
    return name


def _lineage(names: Sequence[str], bundles: _Bundles) -> Iterator[str]:
    """The locales, what they stand for, and all that they inherit from."""
    todo, seen = list(names), set(names)
    while todo:
        name = todo.pop()
        yield name
        near = [name.rpartition("_")[0]]
        if f"{name}.res" in bundles.items:
            found = bundles.references(f"{name}.res")
            near += [found.alias, found.parent]
        todo += (fresh := {each for each in near if each and each not in seen})
        seen |= fresh


def _starts(item: Item, languages: set[str], locales: set[str], where: str) -> bool:
    """Whether an item stays whatever else does: it is of a chosen locale, or of none."""
    base, _, kind = item.name.rpartition("/")[2].rpartition(".")
    if kind == "res":
        return not _LOCALE.fullmatch(base) or base in locales or base.partition("_")[0] in languages
    if kind == "cnv":
        asian = _EAST_ASIAN & {name.partition("_")[0] for name in locales}
        return bool(asian) or bytes_per_character(item.data, where=f"{where}: {item.name}") == 1
    return kind != "brk" and not _foreign(item.name, locales)  # ".brk" stays with the bundle that names it


def _foreign(name: str, locales: set[str]) -> bool:
    """Whether an item is a dictionary of languages that aren't chosen."""
    base, _, kind = name.rpartition("/")[2].rpartition(".")
    return kind == "dict" and not _DICTIONARIES.get(base, set()) & {locale.partition("_")[0] for locale in locales}


def _closed(starting: set[str], bundles: _Bundles, without: set[str]) -> set[str]:
    """``starting`` and everything that its bundles refer to, but for ``without``."""
    kept, todo = set(starting), sorted(starting)
    while todo:
        name = todo.pop()
        if not name.endswith(".res"):
            continue
        fresh = {each for each in _needs(name, bundles) if each in bundles.items} - kept - without
        kept |= fresh
        todo += sorted(fresh)
    return kept


def _needs(name: str, bundles: _Bundles) -> Iterator[str]:
    """The names of the items that one bundle refers to; some of them may not exist."""
    folder, slash, file = name.rpartition("/")
    here = f"{folder}{slash}"
    base = file.removesuffix(".res")
    found = bundles.references(name)
    yield f"{here}pool.res"
    yield from (f"{here}{each}" for each in found.named)
    for locale in (found.alias, found.parent, base.rpartition("_")[0]):
        if locale:
            yield f"{here}{locale}.res"
    for path in found.borrowed:
        yield _borrowed(path, here)


def _borrowed(path: str, here: str) -> str:
    """The item that an alias's path means: ``/ICUDATA-coll/root/…`` is in another folder, ``root/…`` in this one
    (ICU, common/uresbund.cpp); ``/LOCALE/…`` is of whichever locale was asked for, and so empty here."""
    if not path.startswith("/"):
        return f"{here}{path.partition('/')[0]}.res"
    package, _, rest = path[1:].partition("/")
    if package == "LOCALE":
        return ""
    folder = package.partition("-")[2]
    return f"{folder}/{rest.partition('/')[0]}.res".lstrip("/")


def _cut(item: Item, kept: set[str], bundles: _Bundles) -> Item:
    """The item itself; an index of locales without those that are left out."""
    folder, slash, file = item.name.rpartition("/")
    if file != "res_index.res":
        return item
    return item._replace(
        data=with_fewer(bundles.bundle(item.name), _INDEX, lambda name: f"{folder}{slash}{name}.res" in kept)
    )
