"""What a cloud gives a machine: user-data, meta-data, and the disk that they are on."""

from __future__ import annotations

import gzip
from pathlib import Path

from fuzz.judge import Reader, promise
from oslet.codec.cloud import cloud_config, meta_data, user_data
from oslet.errors import DeclarationError
from oslet.formats import iso9660

_CONFIG = b"#cloud-config\nusers: [default]\noslet:\n  params: {port: 8080, who: 'a b', hosts: [x, y]}\n"


def _user(data: bytes, room: Path) -> object:
    given = user_data(data, "user-data")
    promise(given.values.keys() == given.places.keys(), "a value without a place")
    if all(isinstance(value, str | bool) for value in given.values.values()):
        again = user_data(cloud_config(given.values).encode("utf-8", "replace"), "user-data")
        promise(again.values == given.values or "\\ud" in ascii(given.values), "other values when they are written")
    return given


def _meta(data: bytes, room: Path) -> object:
    return meta_data(data, "meta-data")


def _iso(data: bytes, room: Path) -> object:
    files = iso9660.read(data)
    try:
        written = iso9660.write(files, "cidata")
    except DeclarationError:
        return files
    promise(iso9660.read(written) == files, "other files when they are written")
    return files


def _disks() -> list[bytes]:
    return [iso9660.write({"user-data": _CONFIG, "meta-data": b"instance-id: i\n"}, "cidata"), iso9660.write({}, "x")]


READERS = (
    Reader(
        "user-data",
        "codec/cloud.py",
        lambda: [_CONFIG, b'{"a": 1}', b"a=b\nc=\n", b'a = ["b"]\n[oslet.params]\n', gzip.compress(_CONFIG)],
        _user,
        (b"#cloud-config\n", b"oslet:", b"params:", b"{", b"[oslet.params]\n", b"=", b"\x1f\x8b\x08"),
    ),
    Reader("meta-data", "codec/cloud.py", lambda: [b"instance-id: i\nlocal-hostname: h\n", b"{}"], _meta, (b": ",)),
    Reader("iso9660", "formats/iso9660.py", _disks, _iso, (b"CD001", b"NM\x0e\1\0", b"PX\x24\1", b"\0\0\0\x15")),
)
