"""Features on real images: what is left works as before, what isn't there fails in so many words."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from oslet.build.effects import agree, apply
from oslet.build.files import Files
from oslet.model.oslet import Policy
from oslet.model.source import Debian
from oslet.workspace import Workspace

from ..conftest import Oslet

pytestmark = [pytest.mark.slow, pytest.mark.network]


def declare(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\n{textwrap.dedent(text)}')
    return path


def test_postgres_in_one_language(oslet: Oslet, free_port: Callable[[], int], tmp_path: Path) -> None:
    import psycopg

    declaration = oslet.example("postgres")
    before = oslet.json("build", str(declaration))["size"]
    declaration.write_text(declaration.read_text().replace("[features]", '[features]\nicu = "en"'))
    assert oslet.json("build", str(declaration))["size"] <= before - (22 << 20)
    (tmp_path / "password").write_text("correct horse")
    port = free_port()
    volume = f"{tmp_path.name}:/var/lib/postgresql/data"
    words = ("--port", str(port), "--password", f"@{tmp_path / 'password'}", "-v", volume)
    name = oslet.start(declaration, *words)
    url = f"host=127.0.0.1 port={port} user=postgres password='correct horse'"
    with psycopg.connect(url, autocommit=True) as connection:

        def ask(query: str) -> list[str]:
            return [str(row[0]) for row in connection.execute(query).fetchall()]

        listed = ask("select collname from pg_collation where collprovider = 'i'")
        assert {"en-x-icu", "en-GB-x-icu", "und-x-icu"} <= set(listed) and "de-x-icu" not in listed
        connection.execute("create collation english (provider = icu, locale = 'en')")
        connection.execute("create collation swedish (provider = icu, locale = 'sv')")
        letters = "select x from (values ('z'), ('ä'), ('a'), ('Z'), ('É'), ('e')) v(x) order by x collate"
        assert ask(f"{letters} english") == ["a", "ä", "e", "É", "z", "Z"]
        assert ask(f"{letters} swedish") == ask(f"{letters} english"), "an absent locale works as root"
        assert ask("select upper('straße' collate english)") == ["STRASSE"]
        assert ask("select normalize(U&'e\\0301', NFC)") == ["é"]
        connection.execute(
            "create database icu template template0 locale_provider icu icu_locale 'en' locale 'C' encoding 'LATIN2'"
        )
    with psycopg.connect(f"{url} dbname=icu") as connection:
        assert connection.execute("select upper('žluť')").fetchone() == ("ŽLUŤ",)
    oslet("stop", name)


PROBE = r"""
import ctypes, json, locale, os, zoneinfo
uc, i18n = ctypes.CDLL("libicuuc.so.76"), ctypes.CDLL("libicui18n.so.76")
error = ctypes.c_int(0)
for name in ("ubrk_open", "ucnv_open", "unorm2_getNFKCInstance", "ucol_open", "utrans_openU"):
    getattr(i18n if name[:2] == "ut" or name == "ucol_open" else uc, name + "_76").restype = ctypes.c_void_p
def units(text):
    data = text.encode("utf-16-le")
    return ctypes.create_string_buffer(data + b"\0\0"), len(data) // 2
def words(text, kind=1, place=b"en"):
    data, length = units(text)
    breaker = ctypes.c_void_p(uc.ubrk_open_76(kind, place, data, length, ctypes.byref(error)))
    found = [uc.ubrk_first_76(breaker)]
    while (at := uc.ubrk_next_76(breaker)) != -1:
        found.append(at)
    return found
def converter(name):
    status = ctypes.c_int(0)
    uc.ucnv_open_76(name, ctypes.byref(status))
    return status.value
def nfkc(text):
    data, length = units(text)
    out = ctypes.create_string_buffer(100)
    form = ctypes.c_void_p(uc.unorm2_getNFKCInstance_76(ctypes.byref(error)))
    size = uc.unorm2_normalize_76(form, data, length, out, 50, ctypes.byref(error))
    return out.raw[: 2 * size].decode("utf-16-le")
print(json.dumps({
    "words": words("Hello brave world."), "thai": words("สวัสดีชาวโลก"), "sentences": words("One. Two.", 3),
    "nfkc": nfkc("ﬁ①"), "locales": uc.uloc_countAvailable_76(), "collators": i18n.ucol_countAvailable_76(),
    "latin2": converter(b"ISO-8859-2"), "euc": converter(b"EUC-JP"), "utf8": converter(b"UTF-8"), "error": error.value,
    "zones": sorted(zoneinfo.available_timezones() - {"localtime"}),
    "locale": [locale.setlocale(locale.LC_ALL, "de_DE.UTF-8"), locale.localeconv()["decimal_point"],
               locale.strxfrm("ä") < locale.strxfrm("b"), sorted(os.listdir("/usr/lib/locale"))],
}))
"""

PYTHON = """
    packages = ["python3", "tzdata", "libicu76", "libc-bin", "{locales}"]
    wheels = [{wheels}]
    command = ["python3", "/probe.py"]

    [files]
    "/probe.py" = "./probe.py"

    [features]
    icu = "{icu}"
    locales = ["de_DE.UTF-8"]
    timezones = ["Europe/Paris"]
"""


def image(oslet: Oslet, name: str, locales: str, icu: str, wheels: str = "") -> Path:
    (oslet.folder / "probe.py").write_text(PROBE)
    return declare(oslet.folder, name, PYTHON.format(locales=locales, icu=icu, wheels=wheels))


def test_python_with_a_locale_a_zone_and_a_language(oslet: Oslet) -> None:
    found = json.loads(oslet("run", str(image(oslet, "english", "locales-all", "en", '"tzdata"'))).stdout)
    assert found["zones"] == ["Etc/GMT", "Etc/UTC", "Europe/Paris", "GMT", "UTC"]
    assert found["locale"] == ["de_DE.UTF-8", ",", True, ["C.utf8", "de_DE.utf8"]]
    assert (found["words"], found["sentences"], found["nfkc"]) == ([0, 5, 6, 11, 12, 17, 18], [0, 5, 9], "fi1")
    assert (found["latin2"], found["utf8"]) == (0, 0) and found["error"] <= 0, "a warning at most"
    assert found["euc"] == 4, "U_FILE_ACCESS_ERROR: multi-byte converters come with their languages"
    assert found["thai"] == [0, 12], "without the dictionary a Thai text is one word"
    assert 100 < found["locales"] < 130 and found["collators"] < 10


def test_compiled_locales_are_the_same_each_time_and_what_locales_all_has(oslet: Oslet) -> None:
    space = Workspace(Path(oslet.environment["OSLET_HOME"]))

    def compiled(name: str, package: str, icu: str) -> dict[str, str]:
        oslet("build", str(image(oslet, name, package, icu)))
        files = Files(space.store, space.tree(space.image(name).image).entries)
        found = {path: files.at(path) for path in files.glob("/usr/lib/locale/de_DE.utf8/LC_*")}
        return {path: entry.digest for path, entry in found.items() if entry}

    once = compiled("once", "locales", "th")
    assert len(once) > 10 and compiled("twice", "locales", "root") == once
    assert compiled("shipped", "locales-all", "root") == once
    found = json.loads(oslet("run", str(oslet.folder / "once.toml")).stdout)
    assert found["locale"][:3] == ["de_DE.UTF-8", ",", True] and found["locales"] == 2
    assert found["thai"] == [0, 6, 9, 12]


def test_iconv_with_a_few_converters(oslet: Oslet) -> None:
    oslet(
        "build",
        str(declare(oslet.folder, "iconv", 'trim = "packages"\npackages = ["libc-bin"]\ncommand = ["iconv"]\n')),
    )
    space = Workspace(Path(oslet.environment["OSLET_HOME"]))
    run = space.sandbox(Debian())
    files = Files(space.store, space.tree(space.image("iconv").image).entries)
    apply(files, Policy(features=(("charsets", ("SHIFT_JIS", "KOI8-R")),)), None)
    agree(files)
    rootfs = space.store.lay_down(files.tree())

    def iconv(to: str) -> tuple[int, bytes]:
        done = run(rootfs, ["iconv", "-f", "UTF-8", "-t", to], stdin="€".encode())
        return done.code, done.stdout

    assert iconv("WINDOWS-1252") == (0, b"\x80")
    assert iconv("LATIN-9") == (0, b"\xa4")
    assert iconv("UTF-16LE") == (0, b"\xac\x20")
    assert iconv("UCS-4BE") == (0, b"\0\0\x20\xac"), "built in"
    assert run(rootfs, ["iconv", "-f", "SJIS", "-t", "UTF-8"], stdin=b"\x93\xfa").stdout.decode() == "日"
    assert iconv("EUC-JP")[0] == 1 and iconv("ISO-8859-2")[0] == 1
    listed = run(rootfs, ["iconv", "-l"]).stdout.decode()
    assert "CP1252" in listed and "EUC-JP" not in listed and "UJIS" not in listed
