"""Maintainer scripts, and the other texts of packages that synthesis reads."""

from __future__ import annotations

import hashlib
import zlib
from contextlib import closing
from pathlib import Path

from fuzz.choices import Choices
from fuzz.judge import Reader, promise
from fuzz.readers.binaries import make_elf, within
from oslet.build.accounts import Users
from oslet.build.alternatives import Alternatives
from oslet.build.debian import synthesise
from oslet.build.files import Files
from oslet.build.ldconfig import linker_cache
from oslet.build.scripts.install import Install
from oslet.build.scripts.reading import TABLES, read_script
from oslet.model.lock import Package
from oslet.model.oslet import Policy, Start
from oslet.model.tree import Contents, Entry, Tree
from oslet.store import Store

_SEEDS = (
    'set -e\ncase "$1" in\n configure)\n  if ! getent passwd a >/dev/null; then\n'
    "   adduser --system --group --home /var/lib/a a\n  fi\n  mkdir -p /var/lib/a; chown a:a /var/lib/a\n ;;\nesac\n",
    'for f in /etc/*.conf; do sed -i "s/a/b/g" "$f"; done\n',
    "x=$(echo a b | tr a-z A-Z | cut -d' ' -f1); printf '%05d %s\\n' 7 \"${x%A}\" >> /etc/a.conf\n",
    'while read a b; do [ "$a" -lt 3 ] && break; done <<EOF\n1 2\n$x\nEOF\n',
    "f() { local y=$1; shift; return $((y * 2 + 1)); }\nf 3 || echo $?\n",
    "update-alternatives --install /usr/bin/x x /usr/bin/helper 50\ndpkg-divert --rename --add /etc/a.conf\n",
    "if [ -f /etc/a.conf ] && grep -qE '^(a|b)+$' /etc/a.conf; then rm -f /etc/a.conf; ln -s ../b /etc/a.conf; fi\n",
    ". /usr/share/debconf/confmodule\ndb_get a/b\n[ \"$RET\" = true ] && find /usr -name '*.py' -delete\n",
    'eval "set -- $(echo 1 2 3)"; until [ $# -eq 0 ]; do shift; done; helper one\n',
    "awk '/a/ {print $2}' /etc/a.conf | sort -u | head -n 1 | wc -l; expr 1 + 2; seq 1 5; install -d -m 755 /srv/x\n",
)
_PARTS: tuple[str, ...] = (
    *("\n", ";", " ", "|", "&&", "||", "(", ")", "{ ", "; }", "$(", "`", '"', "'", "<<EOF\n", "EOF\n", ">", ">>"),
    *("<", "2>&1", "if ", "; then ", "else ", "elif ", "fi", "for x in ", "; do ", "done", "while ", "until "),
    *("case $1 in ", ") ", ";; ", "esac", "f() { ", "f ", "$1", "$@", '"$@"', "$#", "$x", "${x}", "${x:-", "${x#"),
    *("${x%%", "}", "$((", "))", "x=", "$x$x", "[ ", " ]", " -eq ", " -f ", " -z ", " = ", " != ", "! ", "*", "?"),
    *("[a-z]", "/", "/etc/a.conf", "/usr/bin/helper", "..", "-e ", "-n ", "-i ", "1", "0", "9999999999", "-1", "a"),
    *("%s", "%9999d", "\\n", "\\", "s/\\(a*\\)*b/\\1/g", "(a+)+$", "1-9", "\\777", "é", "\0", "set -e\n"),
    *("set -- ", "eval ", "exec ", "trap 'f' EXIT\n", "local ", "export ", "unset ", "read ", "break "),
    *("continue 2", "return "),
)  # fmt: skip
_PARTS += tuple(f"{name} " for table in TABLES for name in sorted(table))


def _text_of(data: bytes) -> str:
    choices = Choices(data)
    if choices.byte() % 2 == 0:
        return choices.rest().decode("utf-8", "replace")
    out = []
    while choices.more():
        number = choices.number() if choices.byte() % 2 else choices.byte()
        out.append(_PARTS[number % len(_PARTS)])
    return "".join(out)


def _script_seeds() -> list[bytes]:
    return [b"\0" + text.encode() for text in _SEEDS] + [b"\1" + bytes(range(n, 120 + n)) for n in (0, 60, 120)]


class _Memory:
    """Contents in memory, ten times quicker than a store on disk: what a build asks of it (``files.Objects``)."""

    def __init__(self, room: Path) -> None:
        self._room = room
        self._data: dict[str, bytes] = {}

    def put(self, data: bytes, mode: int = 0o644) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self._data[digest] = data
        return digest

    def read(self, digest: str, limit: int = 64 << 20) -> bytes:
        return self._data[digest]

    def object(self, digest: str, mode: int | None = None) -> Path:
        path = self._room / digest
        path.write_bytes(self._data[digest])
        return path

    def lay_down(self, tree: Tree) -> Path:
        with closing(Store(self._room / "store")) as store:
            for data in self._data.values():
                store.put(data)
            return store.lay_down(tree)


def _files(store: _Memory, texts: dict[str, bytes]) -> list[Entry]:
    return [
        Entry(path, "file", 0o755 if "/bin/" in path else 0o644, 0, 0, len(data), store.put(data), "", "app")
        for path, data in texts.items()
    ]


def _script(data: bytes, room: Path) -> object:
    store = _Memory(room)
    entries = _files(
        store,
        {
            "/etc/a.conf": b"one 1\ntwo 2\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\n",
            "/usr/bin/helper": b"#!/bin/sh\necho $1\n",
            "/usr/lib/x.py": b"",
        },
    )
    entries.append(Entry("/usr/lib/loop", "link", 0o777, target="loop", origin="app"))
    contents = Contents("app", "0" * 64, tuple(entries), {"templates": "Template: a/b\nType: boolean\nDefault: true\n"})
    files = Files(store, entries)
    install = Install(files, Users(), Alternatives(), [contents], arch="amd64", versions={"app": "1.0"})
    read_script(install, "app", "postinst", f"#!/bin/sh\n{_text_of(data)}")
    return _laid(files, store, data)


def _laid(files: Files, store: _Memory, data: bytes) -> tuple[Entry, ...]:
    """What a reading made of the tree; each path stays within the root when it is laid down, as one in eight is."""
    tree = Tree(tuple(sorted(files, key=lambda e: e.path)))
    for entry in tree.entries:
        within(entry.path)
        promise(entry.origin != "", "an entry that nobody brought")
    if zlib.crc32(data) % 8 == 0:
        store.lay_down(tree)
    return tree.entries


_PLACES = (
    *("/usr/lib/tmpfiles.d/a.conf", "/usr/lib/sysusers.d/a.conf", "/usr/share/base-passwd/passwd.master"),
    *("/usr/share/base-passwd/group.master", "/etc/ld.so.conf", "/etc/ld.so.conf.d/a.conf", "/etc/nsswitch.conf"),
    *("/usr/share/ca-certificates/mozilla/a.crt", "/etc/ca-certificates.conf", "/etc/shells", "/usr/lib/liba.so.1"),
    *("/usr/lib/os-release", "/etc/passwd", "/etc/group", "control", "templates", "conffiles", "triggers"),
)


def _synthesis_seeds() -> list[bytes]:
    texts = {
        0: b"d /var/lib/a 0755 root root -\nL+ /etc/x - - - - ../b\nf /run/y 0644 - - - text\nC /etc/z - - - -\n",
        1: b'u a 100 "A user" /var/lib/a /bin/sh\ng b -\nm a b\nr - 500-900\n',
        2: b"root:*:0:0:root:/root:/bin/bash\n",
        3: b"root:*:0:\n",
        4: b"include /etc/ld.so.conf.d/*.conf\n/opt/lib\n",
        7: b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        8: b"mozilla/a.crt\n!mozilla/b.crt\n",
        10: make_elf(needed=("libb.so",), soname="liba.so.1"),
        14: b"Package: app\nVersion: 1\nDepends: b\nReplaces: c (<< 2)\n",
        15: b"Template: a/b\nType: boolean\nDefault: true\n",
        16: b"/etc/shells\n",
        17: b"interest-noawait /usr/lib\nactivate x\n",
    }
    return [bytes([n]) + texts.get(n, b"x\n") for n in range(len(_PLACES))]


def _synthesis(data: bytes, room: Path) -> object:
    place = _PLACES[data[0] % len(_PLACES)] if data else "control"
    store = _Memory(room)
    texts = {
        "/usr/lib/liba.so.1": make_elf(soname="liba.so.1"),
        "/usr/lib64/ld-linux-x86-64.so.2": make_elf(soname="ld-linux-x86-64.so.2"),
        "/etc/ld.so.conf": b"include /etc/ld.so.conf.d/*.conf\n",
        "/usr/share/base-passwd/passwd.master": b"root:*:0:0:root:/root:/bin/bash\n",
        "/usr/share/base-passwd/group.master": b"root:*:0:\n",
    }
    control = {"control": "Package: app\nVersion: 1\n"}
    if place.startswith("/"):
        texts[place] = data[1:]
    else:
        control[place] = data[1:].decode("utf-8", "replace")
    entries = _files(store, texts)
    package = Package("app", "1", "amd64", "", "pool/a.deb", 1, "0" * 64, "", "")
    files = Files(store, entries)
    contents = Contents("app", "0" * 64, tuple(entries), control)
    synthesise(files, [(package, contents)], Policy(), Start(), sandbox=None, name="a", suite="trixie")
    linker_cache(files)
    return _laid(files, store, data)


READERS = (
    Reader("scripts", "build/scripts: maintainer scripts", _script_seeds, _script, tuple(p.encode() for p in _PARTS)),
    Reader("synthesis", "build: tmpfiles.d, sysusers.d, masters, linker", _synthesis_seeds, _synthesis, (b"%b", b"..")),
)
