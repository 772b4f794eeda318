"""Texts: control data, Release and Packages files, locks, declarations."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from fuzz.choices import Choices
from fuzz.judge import Reader, promise
from oslet.archive import index, release
from oslet.build.scripts.install import templates
from oslet.build.scripts.reading import configure_order, control_fields
from oslet.codec import canonical, decode
from oslet.codec.declaration import read_toml
from oslet.codec.locks import read_lock, write_lock
from oslet.errors import IntegrityError
from oslet.formats import deb822
from oslet.model.lock import Lock, Package, Wheel
from oslet.model.oslet import Oslet
from oslet.model.tree import Contents
from oslet.solve.relations import groups
from oslet.solve.versions import compare, key
from oslet.testing.archive import FakeArchive

_STANZA = (
    b"Package: a\nVersion: 1:2.0~rc1-3+b1\nArchitecture: amd64\nMulti-Arch: same\nPriority: optional\n"
    b"Depends: b (>= 1), c | d:any (<< 2~) [amd64] <!nocheck>\nProvides: e (= 1), f\nConflicts: g\n"
    b"Filename: pool/main/a/a_1_amd64.deb\nSize: 12\nSHA256: " + b"0" * 64 + b"\nDescription: x\n more\n .\n"
)


def _deb822_seeds() -> list[bytes]:
    return [
        b"\0" + _STANZA,
        b"\3" + _STANZA + b"\n" + _STANZA,
        b"\1# a comment\nA:\n b\n\tc\n\n\nB: c\n",
        b"\2Template: a/b\nType: boolean\nDefault: true\nDescription: x\n\nTemplate: c\nDefault: d\n",
    ]


def _deb822(data: bytes, room: Path) -> object:
    choices = Choices(data)
    step = choices.byte() % 64 + 1
    body = choices.rest()
    text = body.decode("utf-8", "replace")
    whole = list(deb822.stanzas([body], where="fuzzed"))
    pieces = list(deb822.stanzas((body[at : at + step] for at in range(0, len(body), step)), where="fuzzed"))
    promise(pieces == whole, "a file that reads otherwise in other pieces")
    values = control_fields(text)
    order = configure_order([Contents("a", "", (), {"control": text}), Contents("b", "", (), {})])
    promise(sorted(c.origin for c in order) == ["a", "b"], "an order that lacks a package")
    picked = deb822.picker(("Package", "Depends")).findall(body)
    found = list(deb822.paragraphs(text, where="fuzzed"))
    relations = [groups(p[name]) for p in found for name in ("depends", "provides", "conflicts") if name in p]
    return values, templates(text), picked, found, relations


def _version(data: bytes, room: Path) -> object:
    a, _, b = data.decode("utf-8", "replace").partition(" ")
    try:
        order = compare(a, b)
        key(a)
    except ValueError as error:  # what it promises
        raise IntegrityError(str(error)) from None
    promise(compare(b, a) == -order and compare(a, a) == 0, "an order of versions that isn't one")
    return order


_RELEASE = (
    "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 06 Sep 2025 10:00:00 UTC\n"
    "Valid-Until: Sat, 13 Sep 2035 10:00:00 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64\n"
    "No-Support-for-Architecture-all: Packages\nComponents: main\nSHA256:\n"
    f" {'0' * 64} 10 main/binary-amd64/Packages.xz\n {'1' * 64} 20 main/binary-amd64/Packages\n"
)


@cache
def _archive() -> tuple[bytes, bytes]:
    """A signed InRelease and the keyring that it is signed with."""
    with tempfile.TemporaryDirectory() as name:
        fake = FakeArchive(Path(name), now=1.7e9)
        return fake.sign(_RELEASE), fake.keyring.read_bytes()


def _release_seeds() -> list[bytes]:
    return [b"\0" + _RELEASE.encode(), b"\1" + _archive()[0], b"\2" + _archive()[1]]


def _release(data: bytes, room: Path) -> object:
    kind, body = data[:1], data[1:]
    signed, keyring = _archive()
    if kind == b"\1":
        text = release.signed_text(body, keyring, where="fuzzed")
        # The signed text is the only one that a good signature can stand under, but for its lines' ends.
        promise(text.split() == _RELEASE.split(), "a text that nobody signed")
    elif kind == b"\2":
        return release.signed_text(signed, body, where="fuzzed") != ""
    else:
        text = body.decode("utf-8", "replace")
    found = release.read_release(text, where="fuzzed")
    release.check_release(found, "trixie", "amd64", 1.7572e9, 0.0, where="fuzzed")
    return found, release.indexes(found, "main", "amd64", where="fuzzed")


def _index_seeds() -> list[bytes]:
    other = _STANZA.replace(b"Package: a", b"Package: e").replace(b"Architecture: amd64", b"Architecture: all")
    return [_STANZA, _STANZA + b"\n" + other, _STANZA.replace(b"Provides: e", b"Provides: a")]


def _index(data: bytes, room: Path) -> object:
    file = index.file_of(room, "0" * 64)
    index.write([data], file, where="fuzzed")
    shelves = index.Shelves([index.Shelf("", file), index.Shelf("security", file)])
    try:
        found = []
        for name in shelves.names():
            candidates = shelves.candidates(name)
            promise(candidates, "a name without a candidate")
            for one in candidates:
                promise(".." not in one.path.split("/") and one.path[:1] != "/", "a path that leaves the archive")
                for field in (one.pre_depends, one.depends, one.provides, one.conflicts, one.breaks):
                    found.append(groups(field))
            found.append(shelves.providers(name))  # type: ignore[arg-type]
        return found
    finally:
        shelves.close()


def _lock_seeds() -> list[bytes]:
    package = Package("a", "1", "amd64", "", "pool/a.deb", 12, "0" * 64, "b", "a (>= 1)")
    wheel = Wheel("w", "1.0", "w-1.0-py3-none-any.whl", 5, "1" * 64, "", "w")
    texts = [write_lock(Lock("0" * 64, "trixie", "amd64", "3.13", (package, package), (wheel,)))]
    texts += [write_lock(Lock("", "trixie", "amd64")), texts[0].replace("= ", "=")]
    return [text.encode() for text in texts]


def _lock(data: bytes, room: Path) -> object:
    lock = read_lock(data.decode("utf-8", "replace"), "fuzzed.lock")
    promise(read_lock(write_lock(lock), "again") == lock, "a lock that isn't the same when written again")
    promise(decode(canonical(lock), Lock) == lock, "a lock that isn't the same as JSON")
    return lock


_DECLARATION = b"""\
name = "web"
packages = ["python3", "nginx=1.2"]
wheels = ["fastapi>=1"]
command = ["python3", "-m", "app", "{port}"]
ports = ["{port}", 80]
volumes = ["/var/lib/web:start"]
env = { A = "{db}" }
user = "www-data"
trim = "lean"
features = { postgres = { jit = false }, locales = ["de"] }
keep = ["/usr/share/x/**"]
[source]
suite = "bookworm"
[files]
"/app" = "."
"/etc/web.ini" = { text = "p = {port}", mode = "0600" }
"/run/key" = { secret = "token" }
[params]
port = { type = "port", default = 8080 }
db = { type = "url", default = "http://x" }
token = { type = "secret" }
n = { type = "list", of = { type = "int", min = 1 }, default = [1] }
p = { type = "str", pattern = "[a-z]+", default = "a" }
d = { type = "duration", default = "1h30m" }
[health]
http = "/healthz"
[[checks]]
name = "x"
run = ["a"]
[scripts]
aa = "ignore"
bb = { directories = ["/x:0755:root:root"], users = ["u:g:/h"], links = { "/a" = "b" } }
"""


def _declaration_seeds() -> list[bytes]:
    head, *tables = _DECLARATION.split(b"\n[")
    return [_DECLARATION, b'name = "a"\n', head, *(b'name = "a"\nports = [80]\n[' + part for part in tables)]


def _declaration(data: bytes, room: Path) -> object:
    file = room / "a.toml"
    file.write_bytes(data)
    value = read_toml(file)
    promise(decode(canonical(value), Oslet) == value, "a declaration that isn't the same as JSON")
    return value


_FIELDS = tuple(f"{name}: ".encode() for name in index.FIELDS)
_TOML = (
    *(
        b"'''",
        b'"""',
        b"[[",
        b"]]",
        b"{ ",
        b"{port}",
        b"{{",
        b"}}",
        b"1e400",
        b"0x",
        b"9" * 20,
        b"1979-05-27T07:32:00Z",
    ),
    *(b"pattern", b"(a+)+$", b"[params]\n", b"[files]\n", b'type = "', b"default = ", b"{% for a in b %}", b"\\u0000"),
)
READERS = (
    Reader("deb822", "formats/deb822.py, solve/relations.py, control fields", _deb822_seeds, _deb822, _FIELDS),
    Reader("versions", "solve/versions.py", lambda: [b"1:2.0~rc1-3+b1 2.0-1", b"1 1.0"], _version, (b"~", b":", b"-")),
    Reader("release", "archive/release.py", _release_seeds, _release, (b"SHA256:", b"Date: ", b"-----BEGIN PGP ")),
    Reader("index", "archive/index.py", _index_seeds, _index, _FIELDS),
    Reader("lock", "codec/locks.py", _lock_seeds, _lock, (b"[[package]]\n", b"[[wheel]]\n", b"sha256 = ", *_TOML)),
    Reader("declaration", "codec/declaration.py", _declaration_seeds, _declaration, _TOML),
)
