"""Images to elsewhere and from there: OCI layouts, archives, folders, registries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from oslet.model.image import Built
from oslet.model.tree import Tree

if TYPE_CHECKING:
    from oslet.formats import oci
    from oslet.formats.layer import Compression
    from oslet.store import Store

Progress: TypeAlias = Callable[[str, int, int], None]
Form: TypeAlias = Literal["oci", "tar", "rootfs"]


def export(
    built: Built,
    form: Form,
    where: Path,
    store: Store,
    progress: Progress,
    *,
    compression: Compression,
    given: Mapping[str, Any],
) -> None:
    """Write an image as an OCI layout, one tar, or a bare folder. DeclarationError names params without a value."""
    if form == "rootfs":
        from oslet.build.rootfs import export_rootfs

        export_rootfs(store.load(built.image.tree, Tree), store, where, progress=progress)
        return
    from oslet.build.oci import write_archive, write_layout

    with store.writing():
        parcel = _parcel(built, store, progress, compression, given, unbound=False)
        if form == "oci":
            write_layout(parcel, where, tag=built.image.name, progress=progress)
        else:
            write_archive(parcel, where, tag="latest", name=built.image.name, progress=progress)


def push(
    built: Built,
    reference: str,
    store: Store,
    progress: Progress,
    *,
    insecure: bool,
    compression: Compression,
    given: Mapping[str, Any],
) -> str:
    """Send an image to a registry; the manifest's digest. Params without a value stay open, for oslet to fill."""
    from oslet.archive.registry import push

    with store.writing():
        parcel = _parcel(built, store, progress, compression, given, unbound=True)
        return push(reference, parcel, insecure=insecure, progress=progress)


def pull(reference: str, store: Store, progress: Progress, *, arch: str, insecure: bool) -> Built:
    """Fetch an image that oslet pushed; every digest is checked. IntegrityError, NetworkError."""
    from oslet.archive.admit import admit
    from oslet.archive.registry import pull

    with store.writing():
        pulled = pull(reference, store, architecture=arch, insecure=insecure, progress=progress)
        return Built(*admit(pulled, store, where=reference))


def manifest_digest(built: Built, store: Store, progress: Progress) -> str:
    """The sha256 of the manifest that ``push`` sends (compressed with gzip, params without a value left open)."""
    with store.writing():
        return _parcel(built, store, progress, "gzip", {}, unbound=True).descriptor.sha256


def _parcel(
    built: Built,
    store: Store,
    progress: Progress,
    compression: Compression,
    given: Mapping[str, Any],
    *,
    unbound: bool,
) -> oci.Parcel:
    from oslet.build.bound import export_arguments
    from oslet.build.oci import parcel

    tree = store.load(built.image.tree, Tree)
    arguments = export_arguments(built.image, given) if given else None
    return parcel(
        built.image,
        built.digest,
        tree,
        store,
        arguments=arguments,
        unbound=unbound,
        compression=compression,
        progress=progress,
    )
