"""Debian packages and wheels: read, and taken into a store and laid down, which must stay within its root."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import closing
from pathlib import Path

from fuzz import containers
from fuzz.choices import Choices
from fuzz.judge import Reader, promise
from fuzz.readers.binaries import within
from oslet.build.files import Files
from oslet.build.rootfs import export_rootfs
from oslet.build.wheels import lay_wheels
from oslet.errors import OsletError
from oslet.formats import deb
from oslet.formats.wheel import open_wheel
from oslet.model.lock import Wheel
from oslet.model.tree import Contents, Tree
from oslet.store import Store
from oslet.store.ingest import ingest_deb
from oslet.testing.makers import Made, make_deb, make_tar
from oslet.testing.wheels import make_wheel

_CONTROL = b"Package: a\nVersion: 1\nArchitecture: all\n"
_PARTS = (b"data.tar", b"control.tar", b"debian-binary", b"_gpgbuilder", b"", b"\xff/", b"data.tar.xz.tar")


def _deb_of(data: bytes) -> bytes:
    choices = Choices(data)
    if choices.byte() % 4 == 0:
        return choices.rest()
    suffixes = (choices.pick(containers.PACKINGS), choices.pick(containers.PACKINGS))
    version = choices.some() if choices.one_in(32) else b"2.0\n"
    control = make_tar({"/control": Made(_CONTROL), "/postinst": Made("#!/bin/sh\n", 0o755)})
    if choices.one_in(4):
        control = containers.tar(choices, 4)
    parts = [(b"debian-binary", version), (b"control.tar" + suffixes[0].encode(), b""), (b"data.tar", b"")]
    parts[1] = (parts[1][0], containers.packed(control, suffixes[0], choices))
    if choices.one_in(16):
        parts.insert(choices.byte() % 3, (choices.pick(_PARTS), choices.some()))
    at = len(parts) - 1
    shape = choices.byte() % 16
    body = containers.packed(containers.tar(choices), suffixes[1], choices)
    parts[at] = (b"data.tar" + suffixes[1].encode(), body)
    return containers.ar(parts[:-1] if shape == 15 else parts, choices)


def _deb_seeds() -> list[bytes]:
    files: dict[str, bytes | str | Made] = {
        "/usr/bin/a": "x",
        "/usr/lib/b": Made(link="a"),
        "/usr/lib/c": Made(hard="/usr/bin/a"),
    }
    scripts = {"postinst": "#!/bin/sh\n", "conffiles": "/etc/a\n"}
    seeds = [b"\0" + make_deb(files=files, scripts=scripts, compression=c) for c in ("", "xz", "zst", "gz", "bz2")]
    seeds += [bytes([1, n, n]) + bytes(20) + bytes([0, 0, n, 0, 0, 0, 0, 0, 0, 3, 65, 66, 67] * 6) for n in range(7)]
    return seeds


def _deb(data: bytes, room: Path) -> object:
    path = room / "a.deb"
    path.write_bytes(_deb_of(data))
    found = []
    refused: OsletError | None = None
    control: dict[str, bytes] = {}
    try:
        control = deb.control(path)
        promise(sum(map(len, control.values())) <= deb.MAX_CONTROL, "more control data than a package may have")
    except OsletError as error:
        refused = error
    for member, content in deb.members(path):
        size = sum(map(len, content))
        promise(size == member.size, "a content that isn't as long as its member says")
        within(member.path)
        found.append(member)
    if refused:
        raise refused
    return control, found


def lay_down(contents: Contents, store: Store, room: Path) -> list[tuple[str, str, int, int]]:
    """The contents as a tree, laid down in two ways; what really stands there."""
    tree = Tree(tuple(sorted(Files(store, contents.entries), key=lambda e: e.path)))
    for entry in tree.entries:
        within(entry.path)
    whole = store.lay_down(tree)
    export_rootfs(tree, store, room / "root")
    expected = {e.path: (e.kind, e.size if e.kind == "file" else 0) for e in tree.entries}
    for root in (whole, room / "root"):
        promise(_standing(root) == expected, "what stands in the root isn't the tree")
    return sorted((path, kind, size, 0) for path, (kind, size) in expected.items())


def _standing(root: Path) -> dict[str, tuple[str, int]]:
    found: dict[str, tuple[str, int]] = {}
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(folder, name)
            kind = "link" if path.is_symlink() else "dir" if path.is_dir() else "file"
            found["/" + path.relative_to(root).as_posix()] = (kind, path.stat().st_size if kind == "file" else 0)
    return found


def _unpack(data: bytes, room: Path) -> object:
    path = room / "a.deb"
    made = _deb_of(data)
    path.write_bytes(made)
    with closing(Store(room / "store")) as store:
        contents = ingest_deb(store, path, name="a", sha256=hashlib.sha256(made).hexdigest())
        return lay_down(contents, store, room)


_INFO = b"app-1.0.dist-info/"
_MEMBERS = (
    *(b"app/__init__.py", b"app/b.py", _INFO + b"METADATA", _INFO + b"entry_points.txt", _INFO + b"INSTALLER"),
    *(b"app-1.0.data/scripts/run", b"app-1.0.data/data/share/x", b"app-1.0.data/headers/a.h", b"app-1.0.data/other/x"),
    *(b"app-1.0.data/purelib/app/b.py", b"app/", b"../x", b"/x", b"a\\b", b"a//b", b"", b"app", b"\xff", b"a\nb"),
    *(b"other-1.0.dist-info/RECORD", b"app/__pycache__/x.pyc", b"app-1.0.data/scripts/../../x", b"x" * 300),
    *(_INFO + b"RECORD.jws", b"app-1.0.data/data/bin/go", b"app-1.0.data/scripts/go", b"app-1.0.data/scripts"),
)
_WHEEL = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
_POINTS = b"[console_scripts]\ngo = app:main\nother = app.b:x.y [extra]\n"


def _wheel_of(data: bytes) -> bytes:
    choices = Choices(data)
    if choices.byte() % 4 == 0:
        return choices.rest()
    held = [(_INFO + b"WHEEL", choices.some() if choices.one_in(16) else _WHEEL)]
    for _ in range(16):
        if not choices.more():
            break
        name = choices.some() if choices.one_in(8) else choices.pick(_MEMBERS)
        content = choices.some() if choices.one_in(2) else _POINTS
        held.append((name, content * (1 << choices.byte() % 14 if choices.one_in(16) else 1)))
    if not choices.one_in(16):
        held.append((_INFO + b"RECORD", containers.recorded(held, choices)))
    return containers.zipped(held, choices)


def _wheel_seeds() -> list[bytes]:
    seeds = [bytes([1, 0, 0, n, 0, 0, 0, (n + 1) % len(_MEMBERS), 1, 2, 65, 66, 0]) for n in range(len(_MEMBERS))]
    with tempfile.TemporaryDirectory() as name:
        for compress in (True, False):
            files = {"app/__init__.py": "x = 1\n", "app-1.0.data/scripts/run": "#!python\n"}
            _, path = make_wheel(Path(name), files=files, entry_points=_POINTS.decode(), compress=compress)
            seeds.append(b"\0" + path.read_bytes())
    return seeds


def _wheel(data: bytes, room: Path) -> object:
    path = room / "app-1.0-py3-none-any.whl"
    made = _wheel_of(data)
    path.write_bytes(made)
    with open_wheel(path) as opened:
        texts = [opened.text(name) for name in ("METADATA", "entry_points.txt", "direct_url.json")]
        for part in opened.parts():
            within(f"/{part.path}")
            promise(sum(map(len, opened.chunks(part))) == part.size, "a content that isn't as long as its part says")
        scripts = opened.scripts()
    wheel = Wheel("app", "1.0", path.name, len(made), hashlib.sha256(made).hexdigest(), "", "app")
    with closing(Store(room / "store")) as store:
        (contents,) = lay_wheels(store, [(wheel, path)], "3.13")
        return texts, scripts, lay_down(contents, store, room)


_MAGIC = (
    b"!<arch>\n",
    b"debian-binary",
    b"control.tar",
    b"data.tar",
    b"\xfd7zXZ\0",
    b"\x28\xb5\x2f\xfd",
    b"\x1f\x8b\x08",
    b"BZh9",
)
READERS = (
    Reader("deb", "formats/deb.py: control and members", _deb_seeds, _deb, (*_MAGIC, *containers.NAMES[-12:])),
    Reader("unpack", "store/ingest.py, store/trees.py, build/rootfs.py", _deb_seeds, _unpack, containers.NAMES),
    Reader(
        *("wheel", "formats/wheel.py, build/wheels.py", _wheel_seeds, _wheel),
        (
            *(b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x07"),
            *(b"[console_scripts]", b"sha256=", b"sha512=", *_MEMBERS,),
        ),
    ),
)  # fmt: skip
