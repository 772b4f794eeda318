"""After a quick start that failed: ``python -m oslet.cli.missed HOME IMAGE CODE`` reads what it said last, and says
which dropped paths that tells of. Exits with CODE."""

from __future__ import annotations

import sys
from pathlib import Path


def main(home: str, image: str, code: str) -> None:
    from oslet.cli.render import talk
    from oslet.errors import OsletError
    from oslet.model.image import Image
    from oslet.model.tree import Tree
    from oslet.store import Store
    from oslet.trim.missing import missing

    said = sys.stdin.buffer.read(1 << 13).decode("utf-8", "replace")
    store = Store(Path(home))
    try:
        for lost in missing(said, store.load(store.load(image, Image).tree, Tree)):
            talk(f"oslet: {lost}")
    except OsletError as error:
        talk(f"oslet: {error}")
    sys.exit(int(code))


if __name__ == "__main__":
    main(*sys.argv[1:])
