"""What features make of a tree: small worlds, each step alone."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from oslet.build import effects
from oslet.build.files import Files
from oslet.build.sandbox import Captured
from oslet.errors import BuildError, DeclarationError, OsletError
from oslet.formats.tar import Member, Writer
from oslet.model.lock import Lock
from oslet.model.oslet import FeatureValue, Policy
from oslet.model.tree import Entry, Tree
from oslet.trim import trim
from oslet.trim.spared import catalogues, folder


class Shelf:
    """Objects in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.laid: list[Tree] = []

    def put(self, data: bytes, mode: int = 0o644) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.objects[digest] = data
        return digest

    def read(self, digest: str, limit: int = 64 << 20) -> bytes:
        return self.objects[digest]

    def object(self, digest: str, mode: int | None = None) -> Path:
        raise NotImplementedError

    def lay_down(self, tree: Tree) -> Path:
        self.laid.append(tree)
        return Path("/nowhere")


def world(contents: Mapping[str, str | bytes], origin: str = "pkg") -> Files:
    """Files by path; ``→ x`` is a link to x."""
    shelf = Shelf()
    entries = []
    for path, content in contents.items():
        if isinstance(content, str) and content.startswith("→ "):
            entries.append(Entry(path, "link", 0o777, target=content[2:], origin=origin))
        else:
            data = content.encode() if isinstance(content, str) else content
            entries.append(Entry(path, "file", 0o644, size=len(data), digest=shelf.put(data), origin=origin))
    return Files(shelf, entries)


def policy(keep: Sequence[str] = (), **features: FeatureValue) -> Policy:
    return Policy(features=tuple(sorted(features.items())), keep=tuple(keep))


def below(files: Files, folder: str) -> set[str]:
    return {e.path[len(folder) + 1 :] for e in files if e.path.startswith(f"{folder}/") and e.kind != "dir"}


ZONES = {
    "/etc/localtime": "→ /usr/share/zoneinfo/Etc/UTC",
    "/usr/share/zoneinfo/Etc/UTC": "TZif UTC",
    "/usr/share/zoneinfo/Etc/GMT": "TZif GMT",
    "/usr/share/zoneinfo/UTC": "→ Etc/UTC",
    "/usr/share/zoneinfo/Europe/Paris": "TZif Paris",
    "/usr/share/zoneinfo/Europe/Monaco": "→ Paris",
    "/usr/share/zoneinfo/right/Europe/Paris": "TZif leap Paris",
    "/usr/share/zoneinfo/right/Asia/Tokyo": "TZif leap Tokyo",
    "/usr/share/zoneinfo/Asia/Tokyo": "TZif Tokyo",
    "/usr/share/zoneinfo/Japan": "→ Asia/Tokyo",
    "/usr/share/zoneinfo/posixrules": "→ Asia/Tokyo",
    "/usr/share/zoneinfo/tzdata.zi": "text",
    "/usr/share/zoneinfo/zone.tab": "# head\nFR\t+48\tEurope/Paris\nJP\t+35\tAsia/Tokyo\n",
    "/site/tzdata/zones": "Asia/Tokyo\nEtc/UTC\nEurope/Paris\n",
    "/site/tzdata/zoneinfo/__init__.py": "",
    "/site/tzdata/zoneinfo/Asia/__init__.py": "",
    "/site/tzdata/zoneinfo/Asia/Tokyo": "TZif Tokyo",
    "/site/tzdata/zoneinfo/Europe/__init__.py": "",
    "/site/tzdata/zoneinfo/Europe/Paris": "TZif Paris",
}


def test_only_the_named_zones_stay_and_what_they_lead_to() -> None:
    files = world(ZONES)
    effects.apply(files, policy(timezones=("Europe/Monaco",)), None)
    assert below(files, "/usr/share/zoneinfo") == {
        "Etc/UTC", "Etc/GMT", "UTC", "Europe/Paris", "Europe/Monaco", "right/Europe/Paris", "tzdata.zi", "zone.tab"
    }  # fmt: skip
    assert files.text("/usr/share/zoneinfo/zone.tab") == "# head\nFR\t+48\tEurope/Paris\n"
    assert "/usr/share/zoneinfo/Asia" not in files
    reasons = {d.path: d.reason for d in files.tree().dropped}
    assert reasons["/usr/share/zoneinfo/Japan"] == "timezones = [Europe/Monaco]: Japan isn't among them"


def test_the_wheels_copy_follows() -> None:
    files = world(ZONES)
    effects.apply(files, policy(timezones="Asia/Tokyo"), None)
    assert below(files, "/site/tzdata") == {
        "zones",
        "zoneinfo/__init__.py",
        "zoneinfo/Asia/__init__.py",
        "zoneinfo/Asia/Tokyo",
    }
    assert files.text("/site/tzdata/zones") == "Asia/Tokyo\nEtc/UTC\n"
    assert files.is_file("/usr/share/zoneinfo/posixrules")


def test_no_zones_but_utc_and_what_is_to_be_kept() -> None:
    files = world(ZONES)
    effects.apply(files, policy(("/usr/share/zoneinfo/Asia/*",), timezones=False), None)
    assert below(files, "/usr/share/zoneinfo") == {
        "Etc/UTC", "Etc/GMT", "UTC", "Asia/Tokyo", "posixrules", "tzdata.zi", "zone.tab"
    }  # fmt: skip


def test_a_zone_that_is_none_gets_the_nearest_name() -> None:
    with pytest.raises(DeclarationError, match="Europe/Pariss") as error:
        effects.apply(world(ZONES), policy(timezones=("Europe/Pariss",)), None)
    assert (error.value.where, "'Europe/Paris'" in error.value.hint) == ("features.timezones", True)
    with pytest.raises(BuildError, match="no package brings time zones"):
        effects.apply(world({"/bin/x": ""}), policy(timezones=("UTC",)), None)


HOME = "/usr/lib/locale"
SHIPPED = {
    f"{HOME}/C.utf8/LC_CTYPE": "C",
    f"{HOME}/aa_DJ.utf8/LC_COLLATE": "iso14651",
    f"{HOME}/aa_DJ.utf8/LC_CTYPE": "aa",
    f"{HOME}/de_DE.utf8/LC_COLLATE": "→ ../aa_DJ.utf8/LC_COLLATE",
    f"{HOME}/de_DE.utf8/LC_CTYPE": "de",
    f"{HOME}/fr_FR.utf8/LC_COLLATE": "→ ../aa_DJ.utf8/LC_COLLATE",
    f"{HOME}/fr_FR.utf8/LC_CTYPE": "→ ../aa_DJ.utf8/LC_CTYPE",
}


def test_locales_that_were_links_into_others_stand_alone() -> None:
    files = world(SHIPPED)
    effects.apply(files, policy(locales=("de_DE.UTF-8", "fr_FR.UTF-8")), None)
    assert {p.split("/")[0] for p in below(files, HOME)} == {"C.utf8", "de_DE.utf8", "fr_FR.utf8"}
    assert files.text(f"{HOME}/de_DE.utf8/LC_COLLATE") == "iso14651"
    collate = files.get(f"{HOME}/fr_FR.utf8/LC_COLLATE")
    assert collate is not None and collate.target == "../de_DE.utf8/LC_COLLATE"
    assert files.text(f"{HOME}/fr_FR.utf8/LC_CTYPE") == "aa"
    assert all(e.reason for e in files if e.path.startswith(f"{HOME}/de_DE") and e.kind != "dir")


I18N = "/usr/share/i18n"
SOURCES: dict[str, str | bytes] = {
    "/usr/bin/localedef": "program",
    f"{I18N}/SUPPORTED": "de_DE.UTF-8 UTF-8\nde_DE ISO-8859-1\nde_DE@euro ISO-8859-15\n",
    f"{I18N}/locales/de_DE": "source",
    f"{I18N}/charmaps/UTF-8.gz": gzip.compress(b"charmap", mtime=0),
    f"{I18N}/charmaps/ISO-8859-15.gz": gzip.compress(b"latin 9", mtime=0),
}


class Compiler:
    """A sandbox whose localedef writes what it was asked for."""

    def __init__(self, code: int = 0) -> None:
        self.code, self.commands = code, list[tuple[str, ...]]()

    def __call__(
        self,
        rootfs: Path,
        command: Sequence[str],
        *,
        stdin: bytes = b"",
        changes: Path | None = None,
        folders: Sequence[tuple[Path, str]] = (),
        timeout: float = 0,
    ) -> Captured:
        self.commands.append(tuple(command))
        out = io.BytesIO()
        writer = Writer(out)
        data = " ".join(command[4:8]).encode()
        for path in (f"{command[-1]}/LC_CTYPE", "/etc/surprise"):
            writer.add(Member(path, "file", 0o644, size=len(data)), (data,))
        writer.close()
        assert changes is not None
        changes.write_bytes(out.getvalue())
        return Captured(self.code, b"", b"no such thing")


def test_locales_are_compiled_from_their_sources() -> None:
    files, run = world(SOURCES, "locales"), Compiler(1)
    effects.apply(files, policy(locales=("de_DE.utf8", "de_DE@euro", "C.UTF-8")), run)
    assert files.text(f"{HOME}/de_DE.utf8/LC_CTYPE") == "-i de_DE -f UTF-8"
    assert files.text(f"{HOME}/de_DE@euro/LC_CTYPE") == "-i de_DE@euro -f ISO-8859-15"
    assert "/etc/surprise" not in files and f"{I18N}/locales" not in files
    shelf = files.store
    assert isinstance(shelf, Shelf)
    assert {e.path for e in shelf.laid[0].entries} >= {f"{I18N}/charmaps/UTF-8", f"{I18N}/charmaps/ISO-8859-15"}


@pytest.mark.parametrize(
    ("contents", "locale", "code", "error", "hint"),
    [
        (SOURCES, "de_DD.UTF-8", 0, DeclarationError, "'de_DE.UTF-8'"),
        (SHIPPED, "../../etc", 0, DeclarationError, "known"),
        (SHIPPED, "de_DF.UTF-8", 0, DeclarationError, "'de_DE.utf8'"),
        ({"/bin/x": ""}, "de_DE.UTF-8", 0, BuildError, "add locales to packages"),
        ({p: t for p, t in SOURCES.items() if "bin" not in p}, "de_DE", 0, BuildError, "libc-bin"),
        (SOURCES, "de_DE", 4, BuildError, ""),
    ],
)
def test_a_locale_that_cant_be_had(
    contents: Mapping[str, str | bytes], locale: str, code: int, error: type[OsletError], hint: str
) -> None:
    with pytest.raises(error) as raised:
        effects.apply(world(contents), policy(locales=(locale,)), Compiler(code))
    assert hint in raised.value.hint


def test_trimming_leaves_what_the_locales_are_made_of() -> None:
    paths = (
        "/usr/share/locale/de/LC_MESSAGES/x.mo",
        "/usr/share/locale/sv/LC_MESSAGES/x.mo",
        f"{HOME}/de_DE.utf8/LC_TIME",
    )
    tree = trim([Entry(p, "file", 0o644) for p in paths], Lock("", "trixie", "amd64"), policy(locales=("de_AT.UTF-8",)))
    assert [e.path for e in tree.entries] == [paths[2], paths[0]]


def test_names_of_locales() -> None:
    assert [folder(n) for n in ("de_DE.UTF-8", "ca_ES.ISO-8859-15@euro", "ja_JP.8859", "C.UTF-8", "x/../y")] == [
        "de_DE.utf8", "ca_ES.iso885915@euro", "ja_JP.iso8859", "C.utf8", "x..y"
    ]  # fmt: skip
    assert catalogues("sr_RS.UTF-8@latin") == ("sr_RS@latin", "sr_RS", "sr@latin", "sr")
    assert catalogues("C.UTF-8") == ()


GCONV = "/usr/lib/x86_64-linux-gnu/gconv"
CONVERTERS = {
    f"{GCONV}/UTF-16.so": "",
    f"{GCONV}/ISO8859-1.so": "",
    f"{GCONV}/EUC-JP.so": "",
    f"{GCONV}/gconv-modules": "# kept\nalias\tUTF16//\tUTF-16//\nmodule UTF-16// INTERNAL UTF-16 1\n"
    "module INTERNAL UTF-16// UTF-16 1\nalias UCS4// ISO-10646/UCS4/\nmodule iso-8859-1// INTERNAL ISO8859-1 1\n",
    f"{GCONV}/gconv-modules.cache": "made for all",
    f"{GCONV}/gconv-modules.d/extra.conf": "alias UJIS// EUC-JP//\nalias EUCJP// UJIS//\n"
    "module EUC-JP// INTERNAL EUC-JP 1\nmodule INTERNAL EUC-JP// EUC-JP 1\n",
}


def test_converters_that_are_all_there_stay_as_they_are() -> None:
    files = world(CONVERTERS)
    before = files.tree()
    effects.agree(files)
    assert files.tree() == before


def test_iconv_hears_of_no_converter_that_was_left_out() -> None:
    files = world(CONVERTERS)
    files.remove(f"{GCONV}/EUC-JP.so", "a rule")
    effects.agree(files)
    assert f"{GCONV}/gconv-modules.d/extra.conf" not in files and f"{GCONV}/gconv-modules.cache" not in files
    assert files.text(f"{GCONV}/gconv-modules") == CONVERTERS[f"{GCONV}/gconv-modules"]
    files.remove(f"{GCONV}/UTF-16.so", "a rule")
    effects.agree(files)
    assert files.text(f"{GCONV}/gconv-modules") == (
        "# kept\nalias UCS4// ISO-10646/UCS4/\nmodule iso-8859-1// INTERNAL ISO8859-1 1\n"
    )


def test_charsets_that_are_named_by_an_alias() -> None:
    files = world({**CONVERTERS, f"{GCONV}/BIG5.so": "", f"{GCONV}/libJIS.so": ""})
    effects.apply(files, policy(charsets=("eucjp", "utf-8")), None)
    assert {n for n in files.names(GCONV) if n.endswith(".so")} == {"UTF-16.so", "ISO8859-1.so", "EUC-JP.so"}
    effects.apply(files, policy(("/usr/lib/*/gconv/EUC*",), charsets=()), None)
    assert f"{GCONV}/EUC-JP.so" in files
    with pytest.raises(DeclarationError, match="EUC-JQ") as error:
        effects.apply(files, policy(charsets="EUC-JQ"), None)
    assert "'EUC-JP'" in error.value.hint


def test_features_that_say_all_change_nothing() -> None:
    files = world({**ZONES, **SHIPPED})
    before = files.tree()
    everything = (("icu", True), ("locales", True), ("postgres.jit", False), ("timezones", True))
    effects.apply(files, Policy(features=everything), None)
    assert files.tree() == before


def test_icu_without_its_data_is_an_error() -> None:
    with pytest.raises(BuildError, match="no package brings ICU's data"):
        effects.apply(world({"/bin/x": ""}), policy(icu="en"), None)
