"""What was pulled, made an image of this store again, or refused.

The layers are held to the record in the config: each path once, of the kind, mode and owner that the tree says, and
nothing else. So whiteouts, devices, escapes and files that a later layer replaces can't pass, whoever made the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from oslet.codec import decode, digest
from oslet.errors import IntegrityError
from oslet.formats import oci
from oslet.formats.layer import Unpacked
from oslet.formats.record import Record, unpack
from oslet.formats.tar import Limits, Member, read
from oslet.model.image import Image
from oslet.model.tree import Entry, Tree
from oslet.store import Store

if TYPE_CHECKING:
    from oslet.archive.registry import Pulled

_HEADERS = 8 << 20
"""Bytes of a tar beyond its files' that every layer may have; each entry may have ``_PER_ENTRY`` more."""
_PER_ENTRY = 16 << 10


def admit(pulled: Pulled, store: Store, *, where: str) -> tuple[str, Image]:
    """Seals the pulled image; its digest and value. IntegrityError unless it is one that oslet exported, whole."""
    labels = pulled.config.config.labels if pulled.config.config else {}
    contract = labels.get(oci.CONTRACT_LABEL)
    if contract is None:
        raise IntegrityError(
            "not an image that oslet made",
            where=where,
            hint="`oslet slim` takes images that others made",
        )
    image = decode(contract.encode(), Image, where=f"{where}: label {oci.CONTRACT_LABEL}")
    if not pulled.config.record:
        raise IntegrityError("the image came without oslet's record of its tree", where=where)
    record = unpack(pulled.config.record, where=where)
    tree = _tree(pulled, image, record, store, where)
    if digest(tree) != image.tree:
        raise IntegrityError("the layers and the record don't make the tree of the start contract", where=where)
    if (tree.files, tree.size) != (image.files, image.size):
        raise IntegrityError("the start contract counts other files than the tree holds", where=where)
    store.save(tree)
    for value, named in ((record.lock, image.lock), (record.plan, image.plan)):
        if digest(value) != named:
            raise IntegrityError("the record's lock or plan is not the one the image names", where=where)
        store.save(value)
    return store.seal(image), image


def _tree(pulled: Pulled, image: Image, record: Record, store: Store, where: str) -> Tree:
    """The record's tree with the digests and sizes that the layers give."""
    wanted = {entry.path: entry for entry in record.tree.entries}
    found: dict[str, Entry] = {}
    count = len(pulled.layers) - record.rendered
    if not 0 <= record.rendered <= 1 or count < 0:
        raise IntegrityError("the record counts more layers than there are", where=where)
    left = image.size
    for blob, diff in list(zip(pulled.layers, pulled.config.rootfs.diff_ids))[:count]:
        place = f"{where}: layer {blob.descriptor.digest[:19]}"
        for entry in _entries(blob, diff, left, wanted, found, store, place):
            left -= entry.size if entry.path not in found else 0
            found[entry.path] = entry
    if missing := next((path for path in wanted if path not in found and path != "/"), None):
        raise IntegrityError("no layer holds it", where=f"{where}: {missing}")
    return replace(record.tree, entries=tuple(found.get(entry.path, entry) for entry in record.tree.entries))


def _entries(
    blob: oci.Blob,
    diff: str,
    left: int,
    wanted: dict[str, Entry],
    found: dict[str, Entry],
    store: Store,
    where: str,
) -> Iterator[Entry]:
    here: dict[str, Entry] = {}
    headers = _HEADERS + _PER_ENTRY * len(wanted)
    with blob.path.open("rb") as file:
        compression = oci.LAYERS[blob.descriptor.media_type]
        tar = Unpacked(file, compression, limit=max(left, 0) + headers, where=where)
        limits = Limits(members=len(wanted) + 1, size=max(left, 0))
        for member, chunks in read(tar, where=where, limits=limits):
            if member.path == "/":
                continue
            located = f"{where}: {member.path}"
            entry = wanted.get(member.path)
            if entry is None or not _same(member, entry):
                raise IntegrityError("the layer holds what the tree doesn't, or otherwise", where=located)
            if entry.kind == "file":
                if member.path in found or member.path in here:
                    raise IntegrityError("two members for one file", where=located)
                if member.kind == "hardlink":
                    if member.target not in here or here[member.target].mode != entry.mode:
                        raise IntegrityError("a hard link to what the layer doesn't hold", where=located)
                    first = here[member.target]
                    entry = replace(entry, digest=first.digest, size=first.size)
                else:
                    sha256, size = store.put_stream(chunks, entry.mode)
                    entry = replace(entry, digest=sha256, size=size)
                here[member.path] = entry
            yield entry
        tar.finish(diff.removeprefix("sha256:"))


def _same(member: Member, entry: Entry) -> bool:
    kind = "file" if member.kind == "hardlink" else member.kind
    if kind != entry.kind or (member.uid, member.gid) != (entry.uid, entry.gid) or member.xattrs:
        return False
    return member.target == entry.target if kind == "link" else member.mode == entry.mode
