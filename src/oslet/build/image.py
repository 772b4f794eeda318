"""Plan → Image: merge, trim, synthesise, place, compile, seal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from oslet.bind import is_rendered
from oslet.build.bytecode import compile_bytecode
from oslet.build.files import Files
from oslet.build.ldconfig import linker_cache
from oslet.build.place import Placement, place
from oslet.build.sandbox import Sandbox
from oslet.build.users import user_ids
from oslet.codec import digest
from oslet.model.image import Built, Image
from oslet.model.lock import Lock
from oslet.model.oslet import Oslet, Start
from oslet.model.plan import Place, Plan
from oslet.model.tree import Contents, Tree
from oslet.store import Store

Fetched: TypeAlias = Callable[[], Sequence[Contents]]
"""Fetches and unpacks the lock's packages and wheels; called only when the store doesn't know the result."""


def build(
    oslet: Oslet,
    lock: Lock,
    plan: Plan,
    placements: Sequence[Placement],
    contents: Fetched,
    store: Store,
    sandbox: Sandbox,
    *,
    edition: str = "",
) -> Built:
    """Build ``plan``. ``edition`` distinguishes oslet's own code, so that a changed one doesn't answer from memory."""
    base, bare = _base(lock, plan, contents, store, sandbox, edition)
    files = Files(store, base.entries, base.dropped)
    place(files, placements, store)
    if any(".so" in entry.path for p in placements for entry in p.entries):
        linker_cache(files)
    _compile(files, lock, store, sandbox, lambda: store.laid_down(bare) or store.lay_down(base))
    return seal(oslet, lock, plan, files, store)


def _base(lock: Lock, plan: Plan, contents: Fetched, store: Store, sandbox: Sandbox, edition: str) -> tuple[Tree, str]:
    """The tree of the packages alone, which a change of the application's own files leaves as it was.

    With it the digest of the tree before byte code, which is on disk already for the Python in it to run from.
    """
    key = digest((_without_own_files(plan), edition))
    if known := store.recall("base", key):
        tree, bare = known.decode().split()
        return store.load(tree, Tree), bare
    from oslet.build.debian import synthesise
    from oslet.build.foreign.tree import lay, settle
    from oslet.build.merge import merge
    from oslet.trim import trim

    packages = contents()
    cut = trim(lay(packages) if lock.image else merge(packages, lock), lock, plan.policy)
    files = Files(store, cut.entries, cut.dropped)
    if lock.image:
        settle(files, packages, plan.policy)
    else:
        by_name = {c.origin: c for c in packages}
        pairs = [(p, by_name[p.name]) for p in lock.packages]
        synthesise(files, pairs, plan.policy, plan.start, sandbox=sandbox, name=plan.name, suite=plan.suite)
    linker_cache(files)
    before = files.tree()
    _compile(files, lock, store, sandbox, lambda: store.lay_down(before))
    sealed = files.tree()
    store.remember("base", key, f"{store.save(sealed)} {digest(before)}".encode())
    return sealed, digest(before)


def _without_own_files(plan: Plan) -> Plan:
    steps = tuple(s for s in plan.steps if not isinstance(s, Place))
    return msgspec.structs.replace(plan, steps=steps, start=Start(user=plan.start.user), params=(), rendered=())


def _compile(files: Files, lock: Lock, store: Store, sandbox: Sandbox, rootfs: Callable[[], Path]) -> None:
    interpreter = next((p for p in lock.packages if p.name == f"python{lock.python}-minimal"), None)
    if interpreter:
        compile_bytecode(files, lock.python, interpreter.sha256, sandbox, rootfs, store)


def seal(oslet: Oslet, lock: Lock, plan: Plan, files: Files, store: Store) -> Built:
    """The tree as a value, and the image that names it; the first start lays it down."""
    tree = files.tree()
    uid, gid = user_ids(files, plan.start.user)
    image = Image(
        name=oslet.name,
        arch=lock.arch,
        plan=store.save(plan),
        tree=store.save(tree),
        lock=store.save(lock),
        start=plan.start,
        params=oslet.params,
        rendered=tuple(f for f in oslet.files if is_rendered(f.content)),
        files=tree.files,
        size=tree.size,
        uid=uid,
        gid=gid,
    )
    return Built(store.seal(image), image)
