"""What fuzzing found, and what was found by looking where it pointed: each input broke a reader once.

Some took minutes to hours, or gigabytes: those tests only end when the reader is bounded.
"""

from __future__ import annotations

import base64
import io
import json
import lzma
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from fuzz.choices import Choices
from fuzz.containers import fit, packed, summed
from fuzz.readers.binaries import make_elf
from fuzz.readers.images import exported

from oslet.archive import index
from oslet.archive.layout import load
from oslet.build.accounts import Users
from oslet.build.alternatives import Alternatives
from oslet.build.files import Files
from oslet.build.scripts import budget
from oslet.build.scripts.install import Install
from oslet.build.scripts.reading import read_script
from oslet.build.users import read_masters
from oslet.codec import canonical, decode
from oslet.errors import BuildError, IntegrityError
from oslet.formats import deb, elf, ldcache, oci, record, tar
from oslet.formats.wheel import open_wheel
from oslet.model.tree import Entry, Tree
from oslet.store import Store
from oslet.testing.makers import Made, make_ar, make_deb, make_tar
from oslet.testing.wheels import make_wheel
from oslet.trim import evidence

MIB = 1 << 20


def test_json_that_is_no_utf8() -> None:
    with pytest.raises(IntegrityError, match="not a"):
        decode(b'{"architecture": "\xff"}', oci.Platform)


@pytest.mark.parametrize(
    ("passwd", "group"),
    [("root:*:0:0:root:/root", "root:*:0:"), ("root:*:x:0:root:/root:/bin/sh", ""), ("", "root:*:0"), ("", "a:*:²:")],
)
def test_account_lists_that_are_none(tmp_path: Path, passwd: str, group: str) -> None:
    files = Files(Store(tmp_path), ())
    for name, text in (("passwd", passwd), ("group", group)):
        files.put(f"/usr/share/base-passwd/{name}.master", text.encode(), origin="base-passwd", reason="")
    with pytest.raises(BuildError, match=r"fields|no id"):
        read_masters(files, Users())


# — names and links that no file system holds —

IMPOSSIBLE = {
    "a long name": Entry(f"/{'n' * 256}", "dir", 0o755),
    "a long name in UTF-8": Entry(f"/{'é' * 128}", "dir", 0o755),
    "a NUL": Entry("/a\0b", "dir", 0o755),
    "a lone surrogate": Entry("/\udcff", "dir", 0o755),
    "a link to nothing": Entry("/a", "link", 0o777, target=""),
    "a link to a NUL": Entry("/a", "link", 0o777, target="a\0b"),
    "a link too long": Entry("/a", "link", 0o777, target="a/" * 2000),
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_no_file_system_holds_is_refused(tmp_path: Path, case: str) -> None:
    store, entry = Store(tmp_path), IMPOSSIBLE[case]
    with pytest.raises(BuildError, match="no file system can hold"):
        Files(store, ()).place(entry)
    if case != "a lone surrogate":  # such a tree has no digest
        with pytest.raises(IntegrityError, match="no file system can hold"):
            store.lay_down(Tree((entry,)))


def test_a_path_over_what_the_kernel_takes(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="a path of"):
        list(tar.read(io.BytesIO(make_tar({"/" + "d/" * 2040 + "x": Made()})), where="x"))


@pytest.mark.parametrize("name", ["n" * 256, "é" * 128])
def test_long_names_of_wheels(tmp_path: Path, name: str) -> None:
    _, path = make_wheel(tmp_path, files={f"app/{name}": ""})
    with pytest.raises(IntegrityError, match="too long a name"), open_wheel(path):
        pass
    _, path = make_wheel(tmp_path, entry_points=f"[console_scripts]\n{name} = app:main\n")
    with open_wheel(path) as wheel, pytest.raises(IntegrityError, match="no name for a command"):
        wheel.scripts()


def test_wheels_whose_small_texts_are_large(tmp_path: Path) -> None:
    points = "[console_scripts]\n" + "".join(f"a{n} = app:main\n" for n in range(30_000))
    _, path = make_wheel(tmp_path, entry_points=points)
    with open_wheel(path) as wheel, pytest.raises(IntegrityError, match="too large"):
        wheel.scripts()


# — small inputs that grow —


def test_many_entries_of_a_cache_with_one_text() -> None:
    count = 5000
    at = 48 + 24 * count
    head = struct.pack("<20sIIB3xI12x", ldcache.MAGIC, count, 4001, 2, 0)
    with pytest.raises(IntegrityError, match="characters of names"):
        ldcache.read(head + struct.pack("<iIIIQ", 3, at, at, 0, 0) * count + b"a" * 4000 + b"\0")


def test_many_names_of_an_elf_file_with_one_text() -> None:
    data = make_elf(needed=("x" * 4000,) * 300)
    with pytest.raises(IntegrityError, match="characters of dynamic names"):
        elf.read(io.BytesIO(data))


def test_names_of_an_elf_file_that_are_no_utf8_can_be_kept() -> None:
    data = make_elf(needed=("libXX.so",)).replace(b"XX", b"\xff\xfe")
    assert canonical(evidence.read("/usr/bin/a", data))


def _long_headers(count: int) -> bytes:
    blocks = []
    for number in range(count):
        value = b"v" * 1000
        body = b" k%03d=%s\n" % (number, value)
        text = b"%d%s" % (len(body) + 4, body)
        head = (
            fit(b"x", 100) + b"0000644\0" * 3 + b"%011o\0" % len(text) + b"00000000000\0" + b" " * 8 + b"x" + bytes(355)
        )
        blocks.append(summed(head) + text + bytes(-len(text) % 512))
    return b"".join(blocks)


def test_headers_before_one_member_are_bounded_together() -> None:
    limits = tar.Limits(extension=50_000)
    assert not list(tar.read(io.BytesIO(_long_headers(40)), where="x", limits=limits))
    with pytest.raises(IntegrityError, match="for one member"):
        list(tar.read(io.BytesIO(_long_headers(60)), where="x", limits=limits))


def test_paths_are_bounded_together() -> None:
    data = make_tar({f"/{number}/{'n' * 200}": Made() for number in range(20)})
    with pytest.raises(IntegrityError, match="the paths are over"):
        list(tar.read(io.BytesIO(data), where="x", limits=tar.Limits(names=2000)))


def test_a_package_that_unpacks_to_a_thousand_times_its_size(tmp_path: Path) -> None:
    size = 400 * MIB
    head = fit(b"x", 100) + b"0000644\0" * 3 + b"%011o\0" % size + b"00000000000\0" + b" " * 8 + b"0" + bytes(355)
    packer = lzma.LZMACompressor(preset=0)
    data = packer.compress(summed(head)) + packer.flush()
    control = lzma.compress(make_tar({"/control": Made("Package: a\n")}))
    path = tmp_path / "a.deb"
    path.write_bytes(make_ar({"debian-binary": b"2.0\n", "control.tar.xz": control, "data.tar.xz": data}))
    with pytest.raises(IntegrityError, match="the files are over"):
        list(deb.members(path))


def test_control_data_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "a.deb"
    path.write_bytes(make_deb(scripts={"postinst": "\1" * (17 * MIB)}))
    with pytest.raises(IntegrityError, match="the files are over"):
        deb.control(path)


def test_a_record_that_unpacks_to_millions_of_entries() -> None:
    text = b'{"tree": {"entries": [' + b'["","file",0],' * (3 * MIB)
    with pytest.raises(IntegrityError, match="unpacks to over"):
        record.unpack(base64.b64encode(lzma.compress(text, preset=0)).decode(), where="x")


def test_an_index_that_mentions_millions_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MAX_NAMES", 100)
    names = ", ".join(f"n{number}" for number in range(101))
    facts = "Version: 1\nArchitecture: all\nFilename: a\nSize: 1\n"
    stanza = f"Package: a\n{facts}SHA256: {'0' * 64}\nProvides: {names}\n\n".encode()
    with pytest.raises(IntegrityError, match="over 100 names"):
        index.write([stanza, stanza], tmp_path / "index", where="x")


def test_links_upwards_multiply_what_a_pattern_matches(tmp_path: Path) -> None:
    files = Files(Store(tmp_path), [Entry(f"/{name}", "link", 0o777, target="/") for name in "abcdefgh"])
    with pytest.raises(BuildError, match="matches more than"):
        files.glob("/*" * 12)


# — maintainer scripts —

BIG = "x=aaaaaaaaaaaaaaaa\n" + "x=$x$x\n" * 15
TOO_MUCH = {
    "grep that backtracks": ("echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa! | grep -E '(a+)+$'", "status 1"),
    "sed that grows a file": ("while true; do sed -i 's/./&&/g' /etc/a; done", "too much|over 4 MiB"),
    "sed with a large replacement": (f'{BIG}echo $x | sed "s/a/$x/g"', "too much"),
    "a value that doubles": ("x=a\nwhile true; do x=$x$x; done", "grows beyond"),
    "arguments that double": ('set -- a b\nwhile true; do set -- "$@" "$@"; done', "too much"),
    "one word of many values": (f'{BIG}y="{"$x" * 1000}"', "too much"),
    "a here-document of many values": (f"{BIG}cat <<EOF\n{'$x' * 1000}\nEOF", "too much"),
    "wide numbers": (f"printf '{'%9999s' * 10_000}'", "too much"),
    "many ranges": (f"cut -c{'1-2,' * 200}5 /etc/a", "too many ranges"),
    "a value that a pattern is taken off": (f"{BIG}echo ${{x%%*b*c}}", "too long"),
    "a script that calls itself": ("while true; do /usr/bin/again; done", "too deeply|steps"),
    "here-documents": ("cat <<A " * 20_000, "too long"),
    "a folder many times": ("chown -R root:root " + "/ " * 100_000, "too much"),
    "brackets": ("[ " * 100_000 + "(", "grammar"),
    "a pattern of find": ("find /etc -regex '.*\\(\\(a*\\)*\\)*b'; exit 1", "status 1"),
    "parentheses": ("(" * 3000 + ")" * 3000, "grammar"),
    "a loop that isn't there": ("break 3", "a loop that it isn't in"),
    "a loop around a function": ("f() { continue 9; }\nfor x in 1; do f; done", "a loop that it isn't in"),
    "a name with a NUL": ("mkdir \"$(printf 'a\\000b')\"", "no file system"),
    "a long name": (f"mkdir /{'n' * 256}", "no file system"),
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_scripts_that_ask_for_too_much(tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_SECONDS", 0.5)
    text, said = TOO_MUCH[case]
    store = Store(tmp_path)
    again = b"#!/bin/sh\n/usr/bin/again\n"
    entries = [
        Entry("/etc/a", "file", 0o644, size=4, digest=store.put(b"aaa\n"), origin="app"),
        Entry("/usr/bin/again", "file", 0o755, size=len(again), digest=store.put(again), origin="app"),
    ]
    install = Install(Files(store, entries), Users(), Alternatives(), [], arch="amd64", versions={})
    with pytest.raises(BuildError, match=f"{said}|too much time"):
        read_script(install, "app", "postinst", f"#!/bin/sh\nset -e\n{text}\n")


def test_what_took_the_square_of_its_length(tmp_path: Path) -> None:
    files = Files(Store(tmp_path), ())
    install = Install(files, Users(), Alternatives(), [], arch="amd64", versions={})
    text = f"{BIG}echo $x'b' | tr -d '\1-\U0010fffe' > /out\n: {'$' * 100_000}"
    read_script(install, "app", "postinst", f"#!/bin/sh\n{text}\n")
    assert files.data("/out") == b""


# — images —


@pytest.mark.parametrize("packing", ["", ".gz", ".zst"])
def test_saved_images_whose_layers_are_compressed(tmp_path: Path, packing: str) -> None:
    seed = exported()
    layers = [packed(layer, packing, Choices(b"")) for layer in seed.layers]
    names = [f"{number}.tar" for number in range(len(layers))]
    saved = json.dumps([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": names}]).encode()
    parts = {"/manifest.json": saved, "/c.json": seed.config, **{f"/{n}": d for n, d in zip(names, layers)}}
    path = tmp_path / "image.tar"
    path.write_bytes(make_tar({name: Made(data) for name, data in parts.items()}))
    pulled = load(path, "", Store(tmp_path / "store"), architecture="amd64")
    assert [blob.path.read_bytes() for blob in pulled.layers] == list(seed.layers)


# — evidence —

SLOW: dict[str, tuple[str, Callable[[], bytes]]] = {
    "comments in an open parenthesis": ("/a.py", lambda: b"import (" + b"#a" * 60 + b"\n"),
    "open parentheses": ("/a.py", lambda: b"import (" * (MIB // 8)),
    "imports on one line": ("/a.py", lambda: b":import a," * (MIB // 10)),
    "colons before imports": ("/a.py", lambda: (b":" * 1000 + b" x import" * 120 + b"\n") * 500),
    "blanks after a call": ("/a.py", lambda: b"open(" + b" " * (4 * MIB)),
    "a run of letters": ("/etc/a", lambda: b"a" * (4 * MIB) + b" .so"),
    "a run of names": ("/a.py", lambda: b"lib-" * MIB + b" .so"),
    "assignments": ("/usr/bin/a", lambda: b"#!/bin/sh\n" + b";a=" * MIB),
}


@pytest.mark.parametrize("case", SLOW)
def test_texts_that_took_the_square_of_their_length(case: str) -> None:
    path, made = SLOW[case]
    evidence.read(path, made())


def test_a_note_that_is_no_utf8_is_passed_over() -> None:
    for name, wanted in ((b"lib.so", ("lib.so",)), (b"lib\xff.so", ())):
        found = elf.read(io.BytesIO(make_elf(note=b'[{"soname": ["%s"]}]' % name)))
        assert found is not None
        assert found.dlopen == wanted
