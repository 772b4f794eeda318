"""Sealed images, their names, and the pins that hold them."""

from __future__ import annotations

import re
import time
from typing import NamedTuple

from msgspec import Struct

from oslet.codec import canonical, decode
from oslet.codec.nearest import suggestion
from oslet.errors import IntegrityError, RunError
from oslet.model.image import Image
from oslet.store.contents import Values
from oslet.store.disk import Disk, sync_folder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_TREE = ".tree"
"""Ends the name of a pin that holds a tree."""
_PREFIX = re.compile(r"[0-9a-f]{4,64}")


class ImageRecord(NamedTuple):
    """One image in the store: its digest, the names that mean it, when it was first sealed (POSIX seconds)."""

    digest: str
    names: tuple[str, ...]
    created: float
    image: Image


class _Sealed(Struct, frozen=True):
    created: float


class Images:
    """Which images there are (``images/``), what they are called (``tags/``), and what uses them (``pins/``)."""

    def __init__(self, disk: Disk, values: Values) -> None:
        self._disk = disk
        self._values = values

    def seal(self, image: Image) -> str:
        with self._disk.writing():
            digest = self._values.save(image)
            record = self._disk.root / "images" / digest
            self._disk.sync()  # what the record makes reachable comes before it
            if not record.exists():
                self._disk.publish(record, canonical(_Sealed(time.time())), sync=True)
            self.tag(image.name, digest)
        return digest

    def tag(self, name: str, digest: str) -> None:
        """Makes ``name`` mean the image ``digest``."""
        tag = self._disk.root / "tags" / _checked(name, "an image's name")
        with self._disk.writing():
            if not self.has(digest):
                raise RunError(f"no image {digest[:80]} to call {name!r}", hint="see: oslet images")
            if _text(self._disk, "tags", name) != digest:
                self._disk.publish(tag, digest.encode(), sync=True)

    def untag(self, name: str) -> None:
        if name not in self.tags():
            raise RunError(f"no image is called {name!r}", hint=suggestion(name, self.tags(), kind="images"))
        _drop(self._disk, "tags", name)

    def has(self, digest: str) -> bool:
        return bool(re.fullmatch("[0-9a-f]{64}", digest)) and (self._disk.root / "images" / digest).exists()

    def get(self, digest: str) -> Image | None:
        """The image of that digest, or None when there is none or its value is damaged."""
        try:
            return self._values.load(digest, Image) if self.has(digest) else None
        except IntegrityError:
            return None

    def tags(self) -> dict[str, str]:
        """Name → digest, of the names whose image is there."""
        found = {name: _text(self._disk, "tags", name) for name in _names(self._disk, "tags")}
        return {name: digest for name, digest in found.items() if self.has(digest)}

    def digests(self) -> list[str]:
        return _names(self._disk, "images")

    def records(self) -> list[ImageRecord]:
        """All images that can be read, newest first; verify names the others."""
        names: dict[str, list[str]] = {}
        for name, digest in self.tags().items():
            names.setdefault(digest, []).append(name)
        found = [
            ImageRecord(digest, tuple(names.get(digest, ())), self._sealed(digest).created, image)
            for digest in self.digests()
            if (image := self.get(digest)) is not None
        ]
        return sorted(found, key=lambda record: (-record.created, record.digest))

    def _sealed(self, digest: str) -> _Sealed:
        try:
            return decode((self._disk.root / "images" / digest).read_bytes(), _Sealed)
        except (OSError, IntegrityError):
            return _Sealed(0.0)

    def resolve(self, ref: str) -> str:
        """The digest that a name, digest or unique prefix of four or more digits means; RunError if none or several."""
        tags = self.tags()
        if ref in tags:
            return tags[ref]
        plain = ref.removeprefix("sha256:")
        if self.has(plain):
            return plain
        if _PREFIX.fullmatch(plain):
            found = [digest for digest in self.digests() if digest.startswith(plain)]
            if len(found) == 1:
                return found[0]
            if found:
                shown = ", ".join(digest[:16] for digest in sorted(found)[:6])
                raise RunError(f"{ref!r} is the beginning of {len(found)} images", hint=f"write more of one: {shown}")
        raise RunError(
            f"no image is called {ref[:80]!r}", hint=suggestion(ref, tags, kind="images") or "see: oslet images"
        )

    def remove(self, ref: str) -> str:
        """Takes an image with all its names off the list; gc frees its space. RunError while an instance uses it."""
        digest = self.resolve(ref)
        holders = [holder for holder, pinned in self.pins().items() if pinned == digest]
        if holders:
            raise RunError(
                f"the image is used by {len(holders)} instances: {', '.join(sorted(holders)[:4])}",
                where=ref,
                hint="stop and remove them first (oslet rm)",
            )
        with self._disk.writing():
            for name, tagged in self.tags().items():
                if tagged == digest:
                    _drop(self._disk, "tags", name)
            _drop(self._disk, "images", digest)
        return digest

    def pin(self, digest: str, holder: str) -> None:
        """Keeps the image for ``holder`` (an instance's id) until ``unpin``; again is fine."""
        pin = self._disk.root / "pins" / _checked(holder, "a pin's holder")
        with self._disk.writing():
            if not self.has(digest):
                raise RunError(f"no image {digest[:80]}", hint="see: oslet images")
            self._disk.publish(pin, digest.encode())

    def pin_tree(self, digest: str, holder: str) -> None:
        """Keeps a saved tree beside the image that ``holder`` pins, until ``unpin``."""
        pin = self._disk.root / "pins" / _checked(f"{holder}{_TREE}", "a pin's holder")
        with self._disk.writing():
            self._disk.publish(pin, digest.encode())

    def unpin(self, holder: str) -> None:
        """Lets go of what ``holder`` pinned, if anything."""
        for name in (holder, f"{holder}{_TREE}"):
            _drop(self._disk, "pins", _checked(name, "a pin's holder"))

    def pins(self) -> dict[str, str]:
        """Holder → image digest."""
        return {
            name: _text(self._disk, "pins", name) for name in _names(self._disk, "pins") if not name.endswith(_TREE)
        }

    def pinned_trees(self) -> dict[str, str]:
        """Holder → tree digest."""
        names = [name for name in _names(self._disk, "pins") if name.endswith(_TREE)]
        return {name.removesuffix(_TREE): _text(self._disk, "pins", name) for name in names}


def _names(disk: Disk, room: str) -> list[str]:
    return sorted(path.name for path in (disk.root / room).iterdir())


def _text(disk: Disk, room: str, name: str) -> str:
    try:
        return (disk.root / room / name).read_text("ascii", "replace")
    except OSError:
        return ""


def _drop(disk: Disk, room: str, name: str) -> None:
    (disk.root / room / name).unlink(missing_ok=True)
    sync_folder(disk.root / room)


def _checked(name: str, what: str) -> str:
    if not _NAME.fullmatch(name):
        raise RunError(f"{name[:80]!r} can't be {what}", hint="letters, digits and . _ + - only")
    return name
