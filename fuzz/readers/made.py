"""What features and bills of materials read: ICU's data, statements of licences, signed envelopes."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.judge import Reader, promise
from oslet.build.supply import envelope, expressions, licences, status
from oslet.formats import datalib, icudata, icures

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SYMBOL = "icudt1_dat"


def _head(kind: bytes, version: int = 1) -> bytes:
    return struct.pack(
        "<HBBHHBBBB4s4B4B", 32, 0xDA, 0x27, 20, 0, 0, 0, 2, 0, kind, version, 0, 0, 0, 1, 0, 0, 0
    ) + bytes(8)


def _bundle(version: int = 2) -> bytes:
    """A resource bundle: a table of one key, whose value is an alias."""
    body = struct.pack("<II5I", 2 << 28 | 13, 0x05, 9, 14, 16, 20, 0) + b"%%ALIAS\0" + bytes(8)
    at = len(body)
    body += struct.pack("<I", 2) + "de".encode("utf-16-le") + struct.pack("<HHI", 1, 28, 3 << 28 | at // 4)
    return _head(b"ResB", version) + body + bytes(16)


def _icu_seeds() -> list[bytes]:
    items = (icudata.Item("de.res", _bundle()), icudata.Item("a.cnv", _head(b"cnvt") + bytes(80)))
    data = icudata.write(icudata.Package(_head(b"CmnD"), "icudt1l", items))
    library = datalib.write(datalib.DataLibrary("x86-64", "libicudata.so.1", _SYMBOL, data))
    return [b"\0" + data, b"\1" + _bundle(), b"\1" + _bundle(3), b"\2" + library]


def _icu(data: bytes, room: Path) -> object:
    kind, body = data[:1], data[1:]
    if kind == b"\2":
        library = datalib.read(body, "libicudata.so.1", _SYMBOL, where="fuzzed")
        again = datalib.read(datalib.write(library), "libicudata.so.1", _SYMBOL, where="written")
        promise(again.data == library.data, "a constant that isn't the same when written again")
        return library
    if kind == b"\1":
        return _references(icures.Bundle(body, where="fuzzed"))
    package = icudata.read(body, where="fuzzed")
    promise(icudata.total(package.items) <= len(body), "items that are more than the package")
    again_read = icudata.read(icudata.write(package), where="written")
    promise([i.name for i in again_read.items] == [i.name for i in package.items], "items that aren't there again")
    for item in package.items:
        if item.name.endswith(".cnv"):
            icudata.bytes_per_character(item.data, where="fuzzed")
        elif item.name.endswith(".res"):
            _references(icures.Bundle(item.data, where="fuzzed"))
    return package


def _references(bundle: icures.Bundle) -> object:
    fewer = icures.with_fewer(bundle, frozenset({"InstalledLocales"}), lambda key: key < "m")
    return bundle.references(), fewer


_COPYRIGHT = b"""\
Format: https://www.example.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: x
License: GPL-2+ with OpenSSL exception, and MIT or Expat
 text

License: Odd
 its text
"""


@cache
def _key() -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def _licence_seeds() -> list[bytes]:
    import msgspec

    signed = msgspec.json.encode(envelope.sign(b"{}", "text/x", _key()))
    return [
        b"\0" + _COPYRIGHT,
        b"\1Metadata-Version: 2.4\nName: a\nLicense-Expression: MIT OR (Apache-2.0 AND LicenseRef-x)\n\ntext",
        b"\1Metadata-Version: 2.1\nName: a\nClassifier: License :: OSI Approved :: MIT License\nLicense: BSD\n",
        b"\2GPL-2+ and (LGPL-2.1 or MIT) with classpath exception",
        b"\3d41d8cd98f00b204e9800998ecf8427e  usr/lib/x\n",
        b"\4" + signed,
    ]


def _licence(data: bytes, room: Path) -> object:
    kind, body = data[:1], data[1:]
    text = body.decode("utf-8", "replace")
    if kind == b"\1":
        return licences.of_metadata(body, [text[:100]], "a")
    if kind == b"\2":
        return expressions.expression(text, lambda name: expressions.reference(name, "x")), expressions.known(text)
    if kind == b"\3":
        return dict(status.md5sums(text))
    if kind == b"\4":
        found = envelope.opened(body, "text/x", _key().public_key(), where="fuzzed")
        promise(found == b"{}", "a payload that nobody signed")
        return found
    found_in = licences.of_copyright(text)
    promise(len(found_in.expression) <= 400 * len(body) + 400, "a licence that grows")
    return found_in


READERS = (
    Reader(
        *("icu", "formats/icudata.py, icures.py, datalib.py", _icu_seeds, _icu),
        (b"%%ALIAS\0", b"ResB", b"InstalledLocales\0"),
    ),
    Reader(
        *("licences", "build/supply: licences, checksums, envelopes", _licence_seeds, _licence),
        (b"License: ", b" and ", b" WITH "),
    ),
)  # fmt: skip
