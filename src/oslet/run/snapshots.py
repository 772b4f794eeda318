"""Snapshots: what ``warm.prepare`` left in a volume, made once for an image; fresh volumes begin as clones of it.

``DATA/.snapshots/IMAGE/KEY`` is one. The key is the digest of all that the preparation was told, so that another
command, or another value in it, has another snapshot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from oslet.codec import digest
from oslet.model.oslet import Start

FOLDER = ".snapshots"
_IMAGE = re.compile(r"[0-9a-f]{64}")


def place(data: Path, image: str, contract: Start) -> Path | None:
    """Where the snapshot of an image (its digest) started so is, or is to be. None if it declares none. ``contract``
    has its texts filled."""
    warm = contract.warm
    if not warm.prepare or warm.snapshot not in contract.volumes:
        return None
    told = (image, warm.snapshot, warm.prepare, contract.env, contract.workdir)
    return data / FOLDER / image / digest(told)


def within(folder: str) -> bool:
    """Whether a folder is a snapshot, which nobody changes."""
    return FOLDER in Path(folder).parts


def orphans(data: Path, images: frozenset[str]) -> Iterator[Path]:
    """The folders of snapshots whose image is none of ``images``."""
    folder = data / FOLDER
    for each in sorted(folder.iterdir()) if folder.is_dir() else ():
        if _IMAGE.fullmatch(each.name) and each.name not in images:
            yield each
