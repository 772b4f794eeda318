"""Every reader of foreign bytes, by name. A new reader gets its target here, and with it the smoke test and a run."""

from __future__ import annotations

from fuzz.judge import Reader
from fuzz.readers import (
    binaries,
    clouds,
    evidence,
    foreign,
    guests,
    images,
    made,
    names,
    packages,
    scripts,
    stacks,
    texts,
)

_ROOMS = (binaries, packages, images, guests, foreign, evidence, made, texts, scripts, names, stacks, clouds)
READERS: dict[str, Reader] = {reader.name: reader for room in _ROOMS for reader in room.READERS}
