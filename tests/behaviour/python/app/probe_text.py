"""Codecs, time zones, alphabets and the formats that text comes in."""

import codecs
import datetime
import gettext
import json
import mimetypes
import re
import time
import unicodedata
import zoneinfo

BROAD = (
    "cp1250",
    "koi8-r",
    "shift_jis",
    "gb18030",
    "big5",
    "euc_kr",
    "iso2022_jp",
    "utf-16",
    "utf-7",
    "cp437",
    "mac_roman",
    "hz",
)


def codec_by_name():
    texts = {
        "cp1250": "żółw",
        "koi8-r": "ночь",
        "shift_jis": "日本",
        "gb18030": "中文",
        "big5": "中文",
        "euc_kr": "한글",
    }
    return {n: texts.get(n, "abc").encode(n).hex() for n in BROAD}


def codec_of_every_name():
    import encodings.aliases

    missing = []
    for name in sorted(set(encodings.aliases.aliases.values())):
        try:
            codecs.lookup(name)
        except LookupError:
            missing.append(name)
    return missing


def codec_for_names():
    return [
        "bücher.example".encode("idna").decode(),
        "bücher".encode("punycode").decode(),
        b"xn--bcher-kva".decode("idna"),
    ]


def codec_of_bytes():
    return [codecs.encode(b"hello" * 9, n).hex()[:32] for n in ("base64", "bz2", "hex", "quopri", "uu", "zlib")] + [
        codecs.encode("a", "rot13")
    ]


def codec_errors():
    return [
        "é".encode("ascii", n).decode()
        for n in ("ignore", "replace", "xmlcharrefreplace", "backslashreplace", "namereplace")
    ]


def zones():
    at = datetime.datetime(2026, 7, 1, 12, tzinfo=datetime.UTC)
    names = ("Europe/Paris", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Etc/GMT+5")
    return {n: str(at.astimezone(zoneinfo.ZoneInfo(n))) for n in names}


def zones_there_are():
    found = zoneinfo.available_timezones()
    return [len(found), "Pacific/Auckland" in found, zoneinfo.TZPATH]


def zone_of_process():
    import os

    os.environ["TZ"] = "Asia/Kolkata"
    time.tzset()
    first = [time.tzname, time.timezone, time.strftime("%H:%M %Z", time.localtime(0))]
    os.environ["TZ"] = "Europe/Paris"
    time.tzset()
    return first + [time.strftime("%H:%M %Z", time.localtime(1783000000)), time.daylight]


def zone_by_default():
    return [time.tzname, time.timezone, str(datetime.datetime.fromtimestamp(0).astimezone())]


def zone_of_babel():
    from babel.dates import format_datetime, get_timezone_name

    at = datetime.datetime(2026, 2, 1, 12, tzinfo=datetime.UTC)
    return [format_datetime(at, "full", "Europe/Paris", "fr"), get_timezone_name("Asia/Tokyo", locale="de")]


def letters():
    return [unicodedata.normalize(f, "ﬁé①") for f in ("NFC", "NFD", "NFKC", "NFKD")] + [
        unicodedata.name("ß"),
        unicodedata.unidata_version,
    ]


def dates_of_locale():
    return [time.strftime("%A %B %c", time.gmtime(0)), time.strptime("Thu Jan 01 1970", "%a %b %d %Y").tm_yday]


def mime_types():
    names = (
        "a.webp",
        "a.woff2",
        "a.svg",
        "a.js",
        "a.mjs",
        "a.wasm",
        "a.json",
        "a.md",
        "a.odt",
        "a.7z",
        "a.avif",
        "a.tar.gz",
        "a.epub",
        "a.mkv",
    )
    return {n: mimetypes.guess_type(n) for n in names} | {"json": mimetypes.guess_extension("application/json")}


def translations():
    return [gettext.gettext("hello"), gettext.find("python", languages=["de"]), gettext.ngettext("a", "b", 2)]


def expressions():
    return [
        re.findall(r"\b\w+\b", "été ночь 日本"),
        bool(re.match(r"(?i)STRASSE", "strasse")),
        re.sub(r"(?P<a>x)", r"\g<a>y", "xx"),
    ]


def formats():
    import configparser
    import csv
    import io
    import plistlib
    import tomllib

    ini = configparser.ConfigParser()
    ini.read_string("[a]\nb = 1\n")
    rows = list(csv.reader(io.StringIO('a,"b,c"\n')))
    return [
        rows,
        json.dumps({"é": 1.5}),
        tomllib.loads("a = 1979-05-27")["a"].isoformat(),
        ini["a"]["b"],
        plistlib.dumps({"a": 1})[-30:].decode(),
    ]


def xml():
    import xml.dom.minidom
    import xml.sax
    from xml.etree import ElementTree

    root = ElementTree.fromstring("<?xml version='1.0' encoding='iso-8859-2'?><r a='1'><b>t</b></r>")
    handler = xml.sax.ContentHandler()
    xml.sax.parseString(b"<a/>", handler)
    from pyexpat import EXPAT_VERSION

    return [
        root.find("b").text,
        ElementTree.tostring(root).decode(),
        xml.dom.minidom.parseString("<a/>").toxml(),
        bool(EXPAT_VERSION),
    ]


def html():
    import html as escaping
    from html.parser import HTMLParser

    seen = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: seen.append(tag)
    parser.feed("<p><b>x")
    return [seen, escaping.unescape("&eacute;&NotEqualTilde;"), escaping.escape("<")]


def yaml():
    import yaml as wheel

    return [
        wheel.safe_load("a: [1, 2]"),
        hasattr(wheel, "CSafeLoader"),
        wheel.load("b: 2026-02-01", Loader=wheel.CSafeLoader),
    ]


def mail():
    import email
    import email.message
    import email.policy

    message = email.message.EmailMessage()
    message["Subject"] = "été"
    message.set_content("ночь\n")
    message.add_attachment(b"x", maintype="image", subtype="webp", filename="a.webp")
    message.set_boundary("x")
    return [
        message.as_string(),
        email.message_from_string("A: =?utf-8?q?=C3=A9?=\n\n", policy=email.policy.default)["A"],
    ]
