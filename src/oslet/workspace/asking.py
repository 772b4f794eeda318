"""Questions about a sealed image: its graph, walked again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from oslet.model.image import Image
from oslet.model.lock import Lock
from oslet.model.plan import Plan
from oslet.model.source import Debian
from oslet.model.tree import Tree
from oslet.store import Store
from oslet.trim.why import Answer, why
from oslet.trim.world import Edge

if TYPE_CHECKING:
    from oslet.trim.cut import Given
    from oslet.trim.features import Price

Progress: TypeAlias = Callable[[str, int, int], None]


def ask(image: Image, path: str, store: Store, progress: Progress, *, every: bool) -> Answer:
    """Why ``path`` is in the image or isn't; with ``every``, each reason that its graph has."""
    tree, lock = store.load(image.tree, Tree), store.load(image.lock, Lock)
    first = why(path, tree, lock)
    if not every or not first.kept or "/" not in path:
        return first
    return why(path, tree, lock, edges(image, tree, lock, first.path, store, progress))


def edges(image: Image, tree: Tree, lock: Lock, path: str, store: Store, progress: Progress) -> list[Edge]:
    """Every edge of the image's graph into ``path``."""
    from oslet.trim.cut import world
    from oslet.trim.reach import Reach

    given = _given(image, tree, lock, store, progress)
    reach = Reach(world(tree, given))
    reach.walk(given.asked)
    return reach.into(path)


def price(image: Image, store: Store, progress: Progress) -> list[Price]:
    """What the image's packages can do without, and what each switch saves or costs."""
    from oslet.trim import trim
    from oslet.trim.pricing import prices

    tree, lock = store.load(image.tree, Tree), store.load(image.lock, Lock)
    given = _given(image, tree, lock, store, progress)
    whole = trim((*tree.entries, *tree.dropped), lock, given.policy)
    return prices(tree, whole, given, lambda done, total: progress("weighing features", done, total))


def _given(image: Image, tree: Tree, lock: Lock, store: Store, progress: Progress) -> Given:
    """What the image was cut by."""
    from oslet.build.evidence import Reader
    from oslet.build.files import Files
    from oslet.build.ldconfig import linker_folders
    from oslet.trim.asked import Asked
    from oslet.trim.cut import Given
    from oslet.trim.relations import relations
    from oslet.workspace.edition import edition
    from oslet.workspace.resolving import contents

    plan = store.load(image.plan, Plan)
    packages = contents(lock, Debian(lock.suite), store, progress)
    read = Reader(store, {c.origin: c.digest for c in packages}, edition())
    folders = linker_folders(Files(store, tree.entries))
    return Given(Asked(image.start, image.rendered), plan.policy, lock, relations(packages), folders, read)
