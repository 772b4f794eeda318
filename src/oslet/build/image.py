"""Plan → Image: merge, trim, synthesise, place, compile, cut, seal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec import Struct

from oslet.bind import is_rendered
from oslet.build.bytecode import compile_bytecode
from oslet.build.effects import agree, apply
from oslet.build.evidence import Reader
from oslet.build.files import Files
from oslet.build.ldconfig import linker_cache, linker_folders
from oslet.build.place import Placement, place
from oslet.build.sandbox import Sandbox
from oslet.build.supply.status import Note, notes, record
from oslet.build.users import user_ids
from oslet.codec import canonical, decode, digest
from oslet.model.image import Built, Image
from oslet.model.lock import Lock
from oslet.model.oslet import Oslet, Start
from oslet.model.plan import Place, Plan
from oslet.model.tree import Contents, Tree
from oslet.store import Store
from oslet.trim.asked import Asked
from oslet.trim.cut import Given, cut
from oslet.trim.imported import OWN
from oslet.trim.relations import relations
from oslet.trim.sourceless import sourceless

Fetched: TypeAlias = Callable[[], Sequence[Contents]]
"""Fetches and unpacks the lock's packages and wheels; called only when the store doesn't know the result."""


class Base(Struct, frozen=True):
    """The whole tree of the packages alone, which a change of the application's own files leaves as it was: its digest;
    the digest of the tree before byte code, which is on disk for the Python in it to run from; the packages' relations,
    and what scanners are told of them.
    """

    tree: str
    bare: str
    relations: dict[str, tuple[str, ...]]
    notes: tuple[Note, ...]


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
    accept: Callable[[Tree], None] = lambda tree: None,
) -> Built:
    """Build ``plan``. ``edition`` distinguishes oslet's own code, so that a changed one doesn't answer from memory;
    ``accept`` may refuse the tree, with an error, before it is sealed."""
    base = _base(lock, plan, contents, store, sandbox, edition)
    whole = store.load(base.tree, Tree)
    files = Files(store, whole.entries, whole.dropped)
    place(files, placements, store)
    linker_cache(files)
    _compile(files, lock, store, sandbox, lambda: store.laid_down(base.bare) or store.lay_down(whole))
    some = reached(files, base, oslet, lock, store, edition)
    record(some, base.notes)
    accept(some.tree())
    return seal(oslet, lock, plan, some, store)


def _base(lock: Lock, plan: Plan, contents: Fetched, store: Store, sandbox: Sandbox, edition: str) -> Base:
    key = digest((_without_own_files(plan), edition))
    if known := store.recall("base", key):
        return decode(known, Base)
    from oslet.build.debian import synthesise
    from oslet.build.foreign.tree import lay, settle
    from oslet.build.merge import merge
    from oslet.trim import trim

    packages = contents()
    some = trim(lay(packages) if lock.image else merge(packages, lock), lock, plan.policy)
    files = Files(store, some.entries, some.dropped)
    if lock.image:
        settle(files, packages, plan.policy)
    else:
        by_name = {c.origin: c for c in packages}
        pairs = [(p, by_name[p.name]) for p in lock.packages]
        synthesise(files, pairs, plan.policy, plan.start, sandbox=sandbox, name=plan.name, suite=plan.suite)
    apply(files, plan.policy, sandbox)
    linker_cache(files)
    before = files.tree()
    _compile(files, lock, store, sandbox, lambda: store.lay_down(before))
    base = Base(store.save(files.tree()), digest(before), relations(packages), notes(packages))
    store.remember("base", key, canonical(base))
    return base


def _without_own_files(plan: Plan) -> Plan:
    steps = tuple(s for s in plan.steps if not isinstance(s, Place))
    return msgspec.structs.replace(plan, steps=steps, start=Start(user=plan.start.user), params=(), rendered=())


def _compile(files: Files, lock: Lock, store: Store, sandbox: Sandbox, rootfs: Callable[[], Path]) -> None:
    interpreter = next((p for p in lock.packages if p.name == f"python{lock.python}-minimal"), None)
    if interpreter:
        compile_bytecode(files, lock.python, interpreter.sha256, sandbox, rootfs, store)


def reached(files: Files, base: Base, oslet: Oslet, lock: Lock, store: Store, edition: str) -> Files:
    """What the application reaches of ``files``, cut as the declaration says.

    A cut is remembered by what the application's own files ask for, not by their content: a change that asks for
    nothing new is cut as before.
    """
    digests = {p.name: p.sha256 for p in lock.packages} | {f"wheel:{w.name}": w.sha256 for w in lock.wheels}
    if lock.image:
        digests |= {"image": lock.image.manifest.removeprefix("sha256:")}
    read = Reader(store, digests, edition)
    asked = Asked(
        oslet.start,
        tuple(f for f in oslet.files if is_rendered(f.content)),
        tuple(check.run or check.exec for check in oslet.checks),
    )
    given = Given(asked, oslet.policy, lock, base.relations, linker_folders(files), read)
    tree = files.tree()
    own = {e.path: e for e in tree.entries if e.origin in OWN}
    asking = [(e.path, e.kind, e.mode, e.target, read(e) if e.kind == "file" else None) for e in own.values()]
    key = digest((base.tree, asked, oslet.policy, lock, asking, edition))
    if known := store.recall("cut", key):
        remembered = store.load(known.decode(), Tree)
        now = {e.path: e for e in tree.entries}
        kept = [
            msgspec.structs.replace(now[e.path], reason=e.reason, by=e.by) for e in remembered.entries if e.path in now
        ]
        some = Tree(tuple(kept), remembered.dropped)
    else:
        some = cut(tree, given)
        read.remember()
        store.remember("cut", key, store.save(some).encode())
    some = sourceless(some, oslet.policy)
    found = Files(store, some.entries, some.dropped)
    agree(found)
    _mend_folders(found)
    linker_cache(found)
    return found


def _mend_folders(files: Files) -> None:
    """A folder that stays for what stands in it goes with the last of that, or stays for another of it."""
    for entry in sorted(files, key=lambda e: e.path, reverse=True):
        if entry.kind == "dir" and entry.by and entry.by not in files:
            if names := files.names(entry.path):
                files.place(msgspec.structs.replace(entry, by=f"{entry.path}/{names[0]}"))
            else:
                files.remove(entry.path, "hollow: nothing in this folder stays")


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
        start=oslet.start,
        params=oslet.params,
        rendered=tuple(f for f in oslet.files if is_rendered(f.content)),
        files=tree.files,
        size=tree.size,
        uid=uid,
        gid=gid,
    )
    return Built(store.seal(image), image)
