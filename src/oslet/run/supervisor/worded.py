"""Worded: a start whose words nobody has read yet, since its client imports nothing (``cli/quick.py``).

What is not of the simple kind is None: that client then begins anew, as one that can read a declaration, a secret's
file or an error.
"""

from __future__ import annotations

from pathlib import Path

from oslet.model.param import SecretKind
from oslet.run import starting, wire
from oslet.run.asking import Places, Sealed
from oslet.run.wishing import OPTIONS, bound, said, wished
from oslet.run.words import read
from oslet.store import Store

_LIMITS = {"memory", "cpus", "pids"}
_REACH = {"publish", "network", "allow"}
_SIMPLE = _LIMITS | _REACH | {"name", "detach", "rm", "interactive", "restart", "env", "fresh", "read-only"}
"""Options that need nothing of the client's: no folder, no terminal."""


def start(asked: wire.Words) -> wire.Start | None:
    """The start that the words ask for. DeclarationError or RunError for what can't be read or found."""
    home = Path(asked.home)
    before = read(asked.words, OPTIONS, stop_at_word=True)
    if not before.rest or ":" in before.rest[0] or before.rest[0].endswith(".toml"):
        return None
    store = Store(home)
    digest, image = store.find(before.rest[0])
    root = store.laid_down(image.tree)
    found = said(before.options, before.rest[1:], image.params)
    secret = {p.name for p in image.params if isinstance(p.kind, SecretKind)}
    detached = "detach" in found.options
    if root is None or not found.options.keys() <= _SIMPLE or secret & found.given.keys():
        return None
    if not detached and asked.mode != "attached":
        return None
    wish = wished(found.options, found.command)
    wish = wish if detached else wish._replace(remove=True)
    places = Places(home / "instances", home / "volumes", home)
    sealed = Sealed(image, digest, image.tree, root)
    return starting.request(sealed, bound(image.params, found.given, {}), wish, places, attached=not detached)
