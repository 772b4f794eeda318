"""Content by digest: objects, blobs, values, trees, images. Owned by one user, shared by many processes.

Modes on disk are not the tree's facts: files are readable by all and never set-id, folders are open to their owner.
An image holds no secrets, instances run with no_new_privs, and ids other than the container's root are given when an
instance starts. The store's own folder is closed to other users.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from oslet.errors import Fault
from oslet.model.image import Image
from oslet.model.tree import Tree
from oslet.store.contents import Blobs, Memo, Objects, Values
from oslet.store.disk import Disk, home
from oslet.store.images import ImageRecord, Images
from oslet.store.kernels import Kernels

if TYPE_CHECKING:
    from oslet.store.gc import Freed

__all__ = ["Image", "ImageRecord", "Store", "home"]

T = TypeVar("T")


class Store:
    """One folder of content by digest.

    ``root`` is made if missing (``home(os.environ)`` is the usual one). ``owner`` is the uid and gid that play the
    container's root on disk: only when this process runs as root, else the caller is. Threads may share a Store.

    What ``put``, ``save`` and ``add_blob`` write is reachable from nothing yet: from the first of them until ``seal``
    or ``close``, this Store holds off other processes' gc. A process that builds several images at once wraps each
    build in ``with store.writing():``.
    """

    def __init__(self, root: Path, *, owner: int | None = None) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 (links stay as they are)
        self._disk = Disk(self.root, owner)
        self._objects = Objects(self._disk)
        self._blobs = Blobs(self._disk)
        self._values = Values(self._disk)
        self._memo = Memo(self._disk)
        self._images = Images(self._disk, self._values)
        self.kernels = Kernels(self._disk)

    @property
    def owner(self) -> int | None:
        """The uid and gid of what is on disk, when it isn't the caller's."""
        return self._disk.owner

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds off gc: nothing that is in the store, or comes into it, goes away meanwhile. Nests."""
        with self._disk.writing():
            yield

    def close(self) -> None:
        """Lets gc have what was written since the last ``seal``, unless an image reaches it. The Store stays usable."""
        self._disk.settle()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder on the store's file system, removed afterwards (by gc, if the process dies)."""
        from oslet.store.trees import remove

        with self._disk.writing():
            folder = self._disk.temporary()
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                remove(folder)

    # Blobs: whole downloads

    def blob(self, sha256: str) -> Path | None:
        """The download with that digest, if it is there."""
        path = self._blobs.path(sha256)
        return path if path.is_file() else None

    def add_blob(self, chunks: Iterable[bytes], sha256: str, size: int | None = None, *, where: str) -> Path:
        """Writes a download, checked as it passes; IntegrityError at ``where`` unless size and digest are as given."""
        return self.blob(sha256) or self._blobs.add(chunks, sha256, size, where)

    def drop_blob(self, sha256: str) -> None:
        """Forgets a download that turned out damaged."""
        self._blobs.path(sha256).unlink(missing_ok=True)

    # Objects: file contents

    def put(self, data: bytes, mode: int = 0o644) -> str:
        """Keeps a file's content; its sha256."""
        return self._objects.put(data, mode)

    def put_stream(self, chunks: Iterable[bytes], mode: int = 0o644) -> tuple[str, int]:
        """Keeps a file's content of any size; its sha256 and its size in bytes."""
        return self._objects.put_stream(chunks, mode)

    def read(self, digest: str, limit: int = 64 << 20) -> bytes:
        """A content, hashed again; IntegrityError if it is missing, altered or over ``limit`` bytes."""
        return self._objects.read(digest, limit)

    def object(self, digest: str, mode: int | None = None) -> Path:
        """Some file with that content, to be read only; of ``mode`` if given. IntegrityError if there is none."""
        return self._objects.path(digest, mode)

    def has_object(self, digest: str, mode: int, size: int) -> bool:
        """Whether that content stands on disk under ``mode``, in its full size (not hashed again)."""
        return self._objects.has(digest, mode, size)

    # Values

    def save(self, value: Any) -> str:
        """Keeps a value as canonical JSON; its digest."""
        return self._values.save(value)

    def load(self, digest: str, shape: type[T]) -> T:
        """The value of that digest; IntegrityError if it is missing, altered or no ``shape``."""
        return self._values.load(digest, shape)

    # Memo: answers that can always be made again

    def remember(self, room: str, key: str, value: bytes) -> None:
        """Keeps ``value`` under ``key``. gc drops it once something whose digest it mentions is dropped."""
        self._memo.remember(room, key, value)

    def recall(self, room: str, key: str) -> bytes | None:
        """What was remembered, or None. It may name objects that a power failure took: check what you rely on."""
        return self._memo.recall(room, key)

    # Trees

    def lay_down(self, tree: Tree) -> Path:
        """The tree as a folder of hard links, made at need, whole or not at all; never to be written to."""
        from oslet.store.trees import lay_down

        return lay_down(self._disk, self._objects, tree)

    def laid_down(self, digest: str) -> Path | None:
        """The folder of the tree with that digest, if it is there: a look-up, without reading the tree."""
        from oslet.store.trees import path_of

        path = path_of(self._disk, digest)
        return path if path.is_dir() else None

    def rootfs(self, image: Image) -> Path:
        """The folder of an image's tree, laid down again if it is gone."""
        return self.laid_down(image.tree) or self.lay_down(self.load(image.tree, Tree))

    # Machines

    def keep_machine(self, key: str, tree: str, fill: Callable[[Path], None]) -> Path:
        """The folder of what a tree was sealed to under ``key``; ``fill`` puts its files there the first time. gc keeps
        it as long as the tree."""
        from oslet.store.machines import keep

        return keep(self._disk, key, tree, fill)

    # Images

    def seal(self, image: Image) -> str:
        """Keeps an image for good and gives it its name; its digest. Synced: it outlasts a power failure."""
        digest = self._images.seal(image)
        self._disk.settle()
        return digest

    def find(self, ref: str) -> tuple[str, Image]:
        """Digest and image that a name, a digest or a unique prefix means; RunError with the nearest name if none."""
        digest = self._images.resolve(ref)
        return digest, self.load(digest, Image)

    def has_image(self, digest: str) -> Image | None:
        """The sealed image of exactly that digest, if there is one and it can be read; sealing it again repairs it."""
        return self._images.get(digest)

    def images(self) -> list[ImageRecord]:
        """All sealed images, newest first."""
        return self._images.records()

    def image_names(self) -> dict[str, str]:
        """Name → digest."""
        return self._images.tags()

    def tag(self, name: str, digest: str) -> None:
        """Makes ``name`` mean a sealed image; RunError if there is no such image."""
        self._images.tag(name, digest)

    def untag(self, name: str) -> None:
        """Takes a name away; the image goes with the next gc unless it has another or is pinned."""
        self._images.untag(name)

    def remove_image(self, ref: str) -> str:
        """Takes an image with all its names off the list; its digest. RunError while it is pinned."""
        return self._images.remove(ref)

    def pin(self, digest: str, holder: str) -> None:
        """Keeps an image for ``holder`` (an instance's id) until ``unpin(holder)``."""
        self._images.pin(digest, holder)

    def pin_tree(self, digest: str, holder: str) -> None:
        """Keeps a saved tree too, beside the image that ``holder`` pinned."""
        self._images.pin_tree(digest, holder)

    def unpin(self, holder: str) -> None:
        """Lets go of what ``holder`` pinned, if anything."""
        self._images.unpin(holder)

    def pins(self) -> dict[str, str]:
        """Holder → image digest."""
        return self._images.pins()

    def pinned_trees(self) -> dict[str, str]:
        """Holder → tree digest."""
        return self._images.pinned_trees()

    # Care

    def gc(self, *, dry_run: bool = False) -> Freed:
        """Removes what no name and no pin reaches, and what dead processes left; RunError while others write."""
        from oslet.store.gc import collect

        self._disk.settle()
        with self._disk.alone():
            return collect(self, dry_run=dry_run)

    def verify(self) -> list[Fault]:
        """Every fault found by hashing everything again and comparing the trees; empty when all is well."""
        from oslet.store.verify import faults

        with self._disk.writing():
            return list(faults(self))
