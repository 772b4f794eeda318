"""Images as other tools make them, by hand: layers as tars, in an OCI layout or as `docker save` wrote them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from oslet.formats.tar import Member, Writer
from oslet.model.tree import Entry
from oslet.store import Store
from oslet.store.flatten import Flat, Stacked, flatten
from oslet.workspace import machine_arch

Part = tuple[Member, bytes]


def file(path: str, data: bytes | str = b"", mode: int = 0o644, **more: Any) -> Part:
    data = data.encode() if isinstance(data, str) else data
    return Member(path, "file", mode, size=len(data), **more), data


def folder(path: str, mode: int = 0o755, **more: Any) -> Part:
    return Member(path, "dir", mode, **more), b""


def link(path: str, target: str) -> Part:
    return Member(path, "link", 0o777, target=target), b""


def hard(path: str, target: str) -> Part:
    return Member(path, "hardlink", 0o644, target=target), b""


def layer(*parts: Part) -> bytes:
    stream = io.BytesIO()
    writer = Writer(stream)
    for member, data in parts:
        writer.add(member, (data,) if data else ())
    writer.close()
    return stream.getvalue()


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Laid(NamedTuple):
    """A layout's folder, and the digest of the manifest last written there."""

    path: Path
    manifest: str


def config_of(layers: Sequence[bytes], execution: dict[str, Any] | None, **more: Any) -> bytes:
    """A config as Go spells it, with nulls for what is unset."""
    said = {"Entrypoint": None, "Cmd": None, "Env": None, "Volumes": None, "Labels": None, **(execution or {})}
    rootfs = {"type": "layers", "diff_ids": [sha(each) for each in layers]}
    whole = {"architecture": machine_arch(), "os": "linux", "config": said, "rootfs": rootfs, "history": None, **more}
    return json.dumps(whole).encode()


def layout(
    where: Path,
    *layers: bytes,
    execution: dict[str, Any] | None = None,
    tag: str = "web",
    zipped: bool = True,
    media_type: str = "",
    **more: Any,
) -> Laid:
    """One image in the OCI layout at ``where``, made if it isn't there, beside those that are there."""
    blobs = where / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(data: bytes, media_type: str) -> dict[str, Any]:
        (blobs / sha(data).removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": sha(data), "size": len(data)}

    kind = media_type or "application/vnd.oci.image.layer.v1.tar" + ("+gzip" if zipped else "")
    stored = [gzip.compress(each, mtime=0) if zipped else each for each in layers]
    manifest = {
        "schemaVersion": 2,
        "config": put(config_of(layers, execution, **more), "application/vnd.oci.image.config.v1+json"),
        "layers": [put(each, kind) for each in stored],
        "annotations": None,
    }
    found = put(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    index = where / "index.json"
    others = json.loads(index.read_text())["manifests"] if index.exists() else []
    named = {**found, "annotations": {"org.opencontainers.image.ref.name": tag}}
    index.write_text(json.dumps({"schemaVersion": 2, "manifests": [*others, named]}))
    (where / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return Laid(where, found["digest"])


def saved(where: Path, *layers: bytes, execution: dict[str, Any] | None = None, tag: str = "web:1") -> Path:
    """One image as docker before 25 saved it; a layer that is there twice is a link the second time."""
    config = config_of(layers, execution)
    name = f"{sha(config).removeprefix('sha256:')}.json"
    first: dict[bytes, str] = {}
    with tarfile.open(where, "w") as tar:

        def put(path: str, data: bytes) -> None:
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))

        put(name, config)
        for number, each in enumerate(layers):
            if each in first:
                info = tarfile.TarInfo(f"{number}/layer.tar")
                info.type, info.linkname = tarfile.SYMTYPE, f"../{first[each]}"
                tar.addfile(info)
                continue
            put(f"{number}/layer.tar", each)
            first[each] = f"{number}/layer.tar"
        paths = [f"{number}/layer.tar" for number in range(len(layers))]
        put("manifest.json", json.dumps([{"Config": name, "RepoTags": [tag], "Layers": paths}]).encode())
    return where


def flat(store: Store, *layers: bytes) -> Flat:
    """The layers flattened, each a plain tar."""
    stacked = []
    for each in layers:
        digest = sha(each).removeprefix("sha256:")
        stacked.append(Stacked(store.add_blob((each,), digest, where="test"), "none", digest))
    return flatten(store, stacked, where="test")


def shown(found: Flat, store: Store) -> dict[str, str]:
    """Path → what stands there, in a word: ``dir``, ``→ target`` or the file's text."""
    return {e.path: _word(e, store) for e in found.entries}


def _word(entry: Entry, store: Store) -> str:
    if entry.kind == "file":
        return store.read(entry.digest).decode()
    return "dir" if entry.kind == "dir" else f"→ {entry.target}"
