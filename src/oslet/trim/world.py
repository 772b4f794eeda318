"""What reach walks over: a tree with what is known of it, and the edges that it finds. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from oslet.model.tree import Entry
from oslet.trim.evidence import Evidence
from oslet.trim.linker import Linker
from oslet.trim.modules import Modules
from oslet.trim.places import Places

Read: TypeAlias = Callable[[Entry], Evidence]
"""What a file says that it needs."""


class Edge(NamedTuple):
    """One reason why ``path`` stays: the evidence, and the kept path that it was found in (empty: the declaration)."""

    path: str
    by: str
    reason: str


class World(NamedTuple):
    """What reach looks at.

    ``named`` maps the origins whose files stay because the declaration names them to the sentence that says so;
    ``relations`` an origin to those that its package depends on; ``owners`` the made paths that belong to a package.
    ``each`` maps paths that stay only for their own sake, whatever their kind, to the feature that they are of (empty
    for none), which stays whole once one of them does; ``forced`` those that the declaration keeps to the reason.
    ``lean`` says that Python modules stay only for their own sake too; ``linker`` and ``modules`` know the tree.
    """

    places: Places
    named: Mapping[str, str]
    relations: Mapping[str, tuple[str, ...]]
    owners: Mapping[str, str]
    each: Mapping[str, str]
    forced: Mapping[str, str]
    lean: bool
    linker: Linker
    modules: Modules
    read: Read
