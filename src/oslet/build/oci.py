"""An image as OCI: a parcel of blobs in the store, then a layout folder or one tar that every engine loads.

The config carries the start contract twice: as engines read it, with arguments in it, and as oslet's own value in a
label, with the tree's reasons in a field that others ignore, so that ``pull`` gives the whole image back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from oslet.build.bound import Bound, Rendered, bindable, bound
from oslet.build.layers import Layer, Progress, layers, make
from oslet.codec import canonical
from oslet.errors import IntegrityError
from oslet.formats import oci
from oslet.formats.layer import Compression
from oslet.formats.record import Record, pack
from oslet.formats.tar import Member, Writer
from oslet.model.image import Image
from oslet.model.instance import Arguments
from oslet.model.lock import Lock
from oslet.model.plan import Plan
from oslet.model.tree import Entry, Tree
from oslet.store import Store

EPOCH = "1970-01-01T00:00:00Z"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What a command's name is looked up in when the declaration says nothing."""


def parcel(
    image: Image,
    digest: str,
    tree: Tree,
    store: Store,
    *,
    arguments: Arguments | None = None,
    unbound: bool = False,
    compression: Compression = "gzip",
    progress: Progress | None = None,
) -> oci.Parcel:
    """The whole image as blobs in the store, reproducible but for the compressor's version.

    Command, env, ports and templates hold ``arguments``, or else the params' defaults. DeclarationError names params
    that have neither, unless ``unbound``: then the command stays as declared, for oslet alone to start.
    """
    made = list(layers(tree, store, compression=compression, progress=progress))
    if unbound and arguments is None and not bindable(image):
        contract = Bound(image.start, (), ())
    else:
        contract = bound(image, arguments)
    last = [_rendered(contract.rendered, image, tree, store, compression)] if contract.rendered else []
    record = pack(Record(tree, len(last), store.load(image.lock, Lock), store.load(image.plan, Plan)))
    config = oci.encode(_config(image, digest, contract, made + last, record))
    blob = _keep(config, oci.CONFIG, store, f"config of {image.name}")
    document = oci.Manifest(
        blob.descriptor,
        [layer.blob.descriptor for layer in made + last],
        media_type=oci.MANIFEST,
        annotations={"org.opencontainers.image.title": image.name},
    )
    manifest = oci.encode(document)
    descriptor = oci.Descriptor(
        oci.MANIFEST, _sha256(manifest), len(manifest), platform=oci.Platform(image.arch, "linux")
    )
    return oci.Parcel(manifest, descriptor, (blob, *(layer.blob for layer in made + last)))


def _rendered(files: tuple[Rendered, ...], image: Image, tree: Tree, store: Store, compression: Compression) -> Layer:
    """The last layer: files with arguments in them, and the folders above them."""
    folders = {entry.path: entry for entry in tree.entries if entry.kind == "dir"}
    whole: dict[str, Entry] = {}
    for file in files:
        sha256 = store.put(file.data, file.mode)
        whole[file.path] = Entry(
            file.path, "file", file.mode, uid=image.uid, gid=image.gid, size=len(file.data), digest=sha256
        )
        path = file.path.rpartition("/")[0]
        while path:
            whole[path] = folders.get(path) or Entry(path, "dir", 0o755)
            path = path.rpartition("/")[0]
    return make("rendered", [whole[path] for path in sorted(whole)], store, compression=compression)


def _config(image: Image, digest: str, contract: Bound, made: list[Layer], record: str) -> oci.Config:
    start = contract.start
    env = dict(start.env)
    labels = {
        "org.opencontainers.image.title": image.name,
        "org.opencontainers.image.ref.name": image.name,
        "dev.oslet.image": digest,
        oci.CONTRACT_LABEL: canonical(image).decode(),
    }
    if contract.secrets:
        labels["dev.oslet.secrets"] = " ".join(f"{param}={path}" for path, param in contract.secrets)
    execution = oci.Execution(
        user=f"{image.uid}:{image.gid}",
        exposed_ports={port if "/" in port else f"{port}/tcp": oci.Empty() for port in start.ports},
        env=[f"{name}={value}" for name, value in ({} if "PATH" in env else {"PATH": PATH}).items()]
        + [f"{name}={value}" for name, value in start.env],
        entrypoint=list(start.command),
        volumes={path: oci.Empty() for path in start.volumes},
        working_dir=start.workdir,
        labels=labels,
        stop_signal=start.stop_signal,
    )
    return oci.Config(
        architecture=image.arch,
        os="linux",
        rootfs=oci.RootFS("layers", [layer.diff_id for layer in made]),
        config=execution,
        created=EPOCH,
        history=[oci.History(created=EPOCH, created_by=f"oslet: {layer.name}") for layer in made],
        record=record,
    )


def _keep(data: bytes, media_type: str, store: Store, where: str) -> oci.Blob:
    digest = _sha256(data)
    path = store.add_blob((data,), digest.removeprefix("sha256:"), len(data), where=where)
    return oci.Blob(oci.Descriptor(media_type, digest, len(data)), path)


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


# A parcel on disk


def write_layout(made: oci.Parcel, folder: Path, *, tag: str, progress: Progress | None = None) -> None:
    """The parcel as an OCI layout, or one image more in the layout that ``folder`` is already; ``tag`` names it.

    The index is replaced last, so that a crash leaves a layout without the new image.
    """
    index = _index_of(folder)
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for count, blob in enumerate(made.blobs, 1):
        target = blobs / blob.descriptor.sha256
        if not target.exists():
            _copy(blob.path, target)
        if progress:
            progress("writing layers", count, len(made.blobs))
    _replace(blobs / made.descriptor.sha256, made.manifest)
    _replace(folder / "oci-layout", _LAYOUT)
    named = _named(made, tag)
    others = [d for d in index.manifests if d.annotations.get(_REF) != tag]
    _replace(folder / "index.json", oci.encode(replace(index, manifests=[*others, named])))


def write_archive(made: oci.Parcel, file: Path, *, tag: str, name: str, progress: Progress | None = None) -> None:
    """The parcel as one tar: an OCI layout with docker's ``manifest.json`` beside it.

    ``docker load``, podman and skopeo (as ``docker-archive:`` and ``oci-archive:``) read it; with layers in zstd,
    docker from 23 on does (20.10 says "invalid tar header"), and skopeo's ``oci-archive:`` alone. ``name`` is the
    repository's, ``tag`` the tag's, as docker is to know it.
    """
    config, *rest = (f"blobs/sha256/{blob.descriptor.sha256}" for blob in made.blobs)
    docker = [{"Config": config, "RepoTags": [f"{name}:{tag}"], "Layers": rest}]
    whole = _named(made, f"{name}:{tag}")  # podman takes an archive's ref.name for the image's whole name
    index = oci.encode(oci.Index([whole], media_type=oci.INDEX))
    unique = {blob.descriptor.sha256: blob for blob in made.blobs}
    new = _beside(file)
    try:
        with new.open("wb") as stream:
            writer = Writer(stream)
            for path, data in (("oci-layout", _LAYOUT), ("index.json", index), ("manifest.json", canonical(docker))):
                writer.add(Member(f"/{path}", "file", size=len(data)), (data,))
            for path in ("blobs", "blobs/sha256"):
                writer.add(Member(f"/{path}", "dir", 0o755))
            manifest = Member(f"/blobs/sha256/{made.descriptor.sha256}", "file", size=len(made.manifest))
            writer.add(manifest, (made.manifest,))
            for count, (sha256, blob) in enumerate(unique.items(), 1):
                member = Member(f"/blobs/sha256/{sha256}", "file", size=blob.descriptor.size)
                writer.add(member, _chunks(blob.path))
                if progress:
                    progress("writing layers", count, len(unique))
            writer.close()
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_REF = "org.opencontainers.image.ref.name"


def _named(made: oci.Parcel, tag: str) -> oci.Descriptor:
    return replace(made.descriptor, annotations={_REF: tag})


def _index_of(folder: Path) -> oci.Index:
    """The layout's index so far; IntegrityError if the folder holds something else."""
    if not folder.exists() or not any(folder.iterdir()):
        return oci.Index([], media_type=oci.INDEX)
    where = str(folder)
    if not (folder / "oci-layout").is_file():
        raise IntegrityError("the folder holds something else than an OCI layout", where=where, hint="name a new one")
    path = folder / "index.json"
    if not path.exists():
        return oci.Index([], media_type=oci.INDEX)
    with path.open("rb") as stream:
        return oci.read_index(stream.read(oci.MAX_DOCUMENT + 1), where=f"{where}/index.json")


def _beside(path: Path) -> Path:
    import os

    return path.with_name(f".{path.name}.{os.getpid()}")


def _copy(source: Path, target: Path) -> None:
    import shutil

    new = _beside(target)
    try:
        shutil.copyfile(source, new)
        new.chmod(0o644)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


def _replace(path: Path, data: bytes) -> None:
    new = _beside(path)
    try:
        new.write_bytes(data)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            yield chunk
