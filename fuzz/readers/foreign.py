"""Images that other tools made: archives and folders of them, their layers stacked, and what their files say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from fuzz import containers
from fuzz.choices import Choices
from fuzz.judge import Reader, promise
from fuzz.readers.binaries import tar_seeds, within
from fuzz.readers.images import exported
from oslet.archive.layout import load
from oslet.build.files import Files
from oslet.build.foreign.divide import divide
from oslet.build.foreign.tree import lay, settle
from oslet.formats import oci
from oslet.model.oslet import Policy
from oslet.model.tree import Contents, Entry, Tree
from oslet.store import Store
from oslet.store.flatten import Flat, Stacked, flatten
from oslet.testing.makers import Made, make_tar


def _layers(data: bytes) -> list[bytes]:
    """The tars of an input: recipes between marks, or mutated tars with their checksums put right."""
    parts = data[1:].split(b"\xf0\x9f")[:4]
    return [containers.tar(Choices(part)) if data[:1] < b"\x80" else containers.resummed(part) for part in parts]


def _flatten_seeds() -> list[bytes]:
    recipe = tar_seeds()[2][1:]
    lower = make_tar({"/usr/bin/a": Made("x"), "/usr/lib/b": Made(link="bin"), "/etc/c": Made("y"), "/d/e": Made("z")})
    upper = make_tar({"/usr/bin/.wh.a": Made(), "/etc/.wh..wh..opq": Made(), "/usr/lib/c": Made("w"), "/d": Made("v")})
    kept = b"\xf0\x9f".join(part.replace(b"\xf0\x9f", b"") for part in (lower, upper))
    members = [bytes([0, n, 0, 0, 2, 65, 66, *([0] * 7)]) for n in range(len(containers.NAMES))]
    return [
        b"\0" + recipe,
        b"\x80" + kept,
        *(b"\0" + b"\xf0\x9f".join((one, one + other)) for one, other in zip(members, members[5:])),
    ]


def _flatten(data: bytes, room: Path) -> object:
    stacked = []
    for number, layer in enumerate(_layers(data)):
        path = room / f"layer{number}"
        path.write_bytes(layer)
        stacked.append(Stacked(path, "none", hashlib.sha256(layer).hexdigest()))
    with closing(Store(room / "store")) as store:
        flat = flatten(store, stacked, where="fuzzed")
        kinds = {entry.path: entry.kind for entry in flat.entries}
        for each in kinds:
            within(each)
            above = each.rpartition("/")[0]
            promise(not above or kinds.get(above) == "dir", "an entry that stands in no folder")
        contents = divide(flat, Files(store, flat.entries), f"sha256:{'0' * 64}")
        store.lay_down(_tree(store, flat, contents))
    return contents


def _tree(store: Store, flat: Flat, contents: tuple[Contents, ...]) -> Tree:
    """The image's tree again, each of its paths from exactly one of its parts."""
    paths = [entry.path for part in contents for entry in part.entries]
    promise(sorted(paths) == sorted(e.path for e in flat.entries), "a path that belongs to none or to two")
    files = Files(store, lay(contents))
    settle(files, contents, Policy())
    return files.tree()


_PLACES = (
    *("/var/lib/dpkg/status", "/var/lib/dpkg/status.d/a", "/var/lib/dpkg/info/a.list", "/var/lib/dpkg/info/a.md5sums"),
    *("/var/lib/dpkg/diversions", "/usr/lib/python3/dist-packages/a-1.dist-info/METADATA"),
    *("/usr/lib/python3/dist-packages/a-1.dist-info/RECORD",),
    "/usr/lib/python3/dist-packages/__pycache__/a.cpython-313.pyc",
    *("/etc/os-release", "/etc/passwd", "/var/lib/dpkg/status.d/a.md5sums", "/etc/ld.so.cache"),
)  # fmt: skip
_STATUS = b"Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\nConffiles:\n /etc/c 0123\n"
_SITE = "/usr/lib/python3/dist-packages"
_TEXTS: dict[str, bytes] = {
    _PLACES[0]: _STATUS,
    _PLACES[1]: b"Package: b\nVersion: 1\nArchitecture: all\n",
    _PLACES[2]: b"/.\n/usr\n/usr/lib\n/etc/c\n/usr/lib/x\n",
    _PLACES[3]: b"d41d8cd98f00b204e9800998ecf8427e  usr/lib/x\n",
    _PLACES[4]: b"/usr/lib/x\n/usr/lib/x.distrib\na\n",
    _PLACES[5]: b"Metadata-Version: 2.1\nName: a\nVersion: 1\n\ntext\n",
    _PLACES[6]: b"a.py,sha256=abc,3\na-1.dist-info/RECORD,,\n__pycache__/a.cpython-313.pyc,,\n",
    _PLACES[7]: b"\xf3\x0d\x0d\x0a" + bytes(12) + b"code",
    _PLACES[8]: b'ID=debian\nVERSION_CODENAME="trixie"\n',
    _PLACES[9]: b"root:x:0:0:root:/root:/bin/sh\n",
}


def _record_seeds() -> list[bytes]:
    return [bytes([n]) + _TEXTS.get(place, b"x\n") for n, place in enumerate(_PLACES)]


def _records(data: bytes, room: Path) -> object:
    place = _PLACES[data[0] % len(_PLACES)] if data else _PLACES[0]
    texts = {**_TEXTS, "/etc/c": b"", "/usr/lib/x": b"", f"{_SITE}/a.py": b"x=1", place: data[1:]}
    with closing(Store(room / "store")) as store:
        entries = [Entry(p, "file", 0o644, 0, 0, len(text), store.put(text)) for p, text in texts.items()]
        whole = Files(store, entries)
        flat = Flat(tuple(sorted(whole, key=lambda e: e.path)), (), {f"{_SITE}/a.py": 0})
        contents = divide(flat, whole, f"sha256:{'0' * 64}")
        _tree(store, flat, contents)
    return contents


_LYING = ("index", "manifest", "config", "layer", "saved", "oci-layout", "tar")


def _layout_seeds() -> list[bytes]:
    image = exported()
    manifest = _manifest(image.config, image.layers)
    index, saved = oci.encode(oci.Index([_described(manifest, oci.MANIFEST)])), _saved(len(image.layers))
    parts = (index, manifest, image.config, image.layers[0], saved, b"{}", make_tar({"/index.json": Made(index)}))
    return [bytes([n, way]) + part for n, part in enumerate(parts) for way in range(2)]


def _described(data: bytes, media_type: str) -> oci.Descriptor:
    return oci.Descriptor(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))


def _manifest(config: bytes, layers: Sequence[bytes]) -> bytes:
    described = [_described(each, oci.LAYER) for each in layers]
    return oci.encode(oci.Manifest(_described(config, oci.CONFIG), described, media_type=oci.MANIFEST))


def _saved(count: int) -> bytes:
    layers = [f"{number}/layer.tar" for number in range(count)]
    return json.dumps([{"Config": "c.json", "RepoTags": ["a:1"], "Layers": layers}]).encode()


def _layout(data: bytes, room: Path) -> object:
    choices = Choices(data)
    lying, way = choices.pick(_LYING), choices.byte()
    body = choices.rest()
    image = exported()
    layers = [body if lying == "layer" else image.layers[0], *image.layers[1:]]
    config = body if lying == "config" else image.config
    manifest = _manifest(config, layers)
    manifest = body if lying == "manifest" else manifest
    index = body if lying == "index" else oci.encode(oci.Index([_described(manifest, oci.MANIFEST)]))
    blobs = {f"/blobs/{_described(each, '').digest.replace(':', '/')}": each for each in (manifest, config, *layers)}
    parts = {"/index.json": index, "/oci-layout": body if lying == "oci-layout" else b"{}", **blobs}
    if way % 4 == 3 or lying == "saved":
        parts = {"/manifest.json": body if lying == "saved" else _saved(len(layers)), "/c.json": config}
        parts.update({f"/{number}/layer.tar": layer for number, layer in enumerate(layers)})
    path = room / "image"
    if way % 4 == 1 and lying != "tar":
        for name, part in parts.items():
            (path / name[1:]).parent.mkdir(parents=True, exist_ok=True)
            (path / name[1:]).write_bytes(part)
    else:
        path.write_bytes(body if lying == "tar" else make_tar({name: Made(part) for name, part in parts.items()}))
    with closing(Store(room / "store")) as store:
        pulled = load(path, "", store, architecture="amd64")
        for blob in pulled.layers:
            found = hashlib.sha256(blob.path.read_bytes()).hexdigest()
            promise(found == blob.descriptor.sha256, "a layer that isn't what its digest says")
    return pulled.digest, pulled.manifest, pulled.config


_WORDS = (b'"Layers"', b'"Config"', b'"RepoTags"', b"null", b"../", b"[[[[", b"sha256:", b"manifests", b'"digest"')
READERS = (
    Reader(
        *("flatten", "store/flatten.py, build/foreign: layers", _flatten_seeds, _flatten),
        (*containers.NAMES, b"\xf0\x9f"),
    ),
    Reader(
        *("records", "build/foreign: dpkg's and pip's records", _record_seeds, _records),
        (b"Package: ", b"Status: ", b"\n/"),
    ),
    Reader("layout", "archive/layout.py: OCI layouts, docker save", _layout_seeds, _layout, _WORDS),
)  # fmt: skip
