"""Which oslet this is: memory of builds is kept apart by the code that made them."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from oslet.codec import digest

ROOMS = ("build", "formats", "trim", "model", "store")


@cache
def edition() -> str:
    """A digest over names, sizes and times of the code that makes trees: a changed oslet forgets what it built.

    It keys this machine's memory only and is no part of an image's identity (that is ``plan.RULES``).
    """
    house = Path(__file__).parents[1]
    seen = [
        (str(path.relative_to(house)), status.st_size, status.st_mtime_ns)
        for room in ROOMS
        for folder, _, names in os.walk(house / room)
        for path in (Path(folder) / name for name in names if name.endswith((".py", ".toml")))
        if (status := path.stat())
    ]
    return digest(sorted(seen))
