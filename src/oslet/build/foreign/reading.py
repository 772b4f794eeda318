"""The layers of a foreign image → what it consists of, remembered by its manifest's digest."""

from __future__ import annotations

from collections.abc import Sequence

from oslet.build.files import Files
from oslet.build.foreign.divide import divide
from oslet.codec import canonical, decode
from oslet.errors import IntegrityError
from oslet.model.tree import Contents
from oslet.store import Store
from oslet.store.flatten import Progress, Stacked, flatten

READER = 1
"""The version of this reader: another one reads an image again."""

_ROOM = "foreign"


def read_image(
    store: Store, manifest: str, layers: Sequence[Stacked], *, where: str, progress: Progress | None = None
) -> tuple[Contents, ...]:
    """What the image consists of: packages and wheels by name, then the image itself, whose origin is ``image``.

    Raises IntegrityError for layers that aren't what the image's config says, or make no sound file system.
    """
    with store.writing():
        if (known := recall(store, manifest)) is not None:
            return known
        flat = flatten(store, layers, where=where, progress=progress)
        if progress:
            progress("looking for packages", 0, 0)
        found = divide(flat, Files(store, flat.entries), manifest)
        store.remember(_ROOM, f"{READER} {manifest}", canonical(found))
        return found


def recall(store: Store, manifest: str) -> tuple[Contents, ...] | None:
    """What was read before, if the store still has all of it."""
    data = store.recall(_ROOM, f"{READER} {manifest}")
    if data is None:
        return None
    try:
        found = decode(data, tuple[Contents, ...])
    except IntegrityError:  # written by another version of these words
        return None
    files = (e for c in found for e in c.entries if e.kind == "file")
    return found if all(store.has_object(e.digest, e.mode, e.size) for e in files) else None
