"""Watching: the whole tree of an image, ready to run watched, and what was seen of it; traces beside declarations."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from oslet.codec import digest
from oslet.codec.traces import MAX_BYTES, read_trace, write_trace
from oslet.errors import DeclarationError, IntegrityError, RunError
from oslet.model.image import Built, Image
from oslet.model.lock import Lock
from oslet.model.source import Debian
from oslet.model.tree import Entry, Tree
from oslet.model.watch import Trace
from oslet.trim.cut import BYTE_CODE
from oslet.trim.used import Finding, check_trace, findings, joined, trace, whole
from oslet.workspace.declared import Declared

if TYPE_CHECKING:
    from oslet.run import Sealed
    from oslet.store import Store
    from oslet.trim.missing import Missing
    from oslet.workspace import Workspace

LAST = 100
"""How many of an instance's last lines are read for what it missed."""


def untrimmed(workspace: Workspace, built: Built) -> Sealed:
    """The image on its whole tree, kept and dropped, with its start contract unchanged.

    What gc took is unpacked again from the lock's packages, fetched where the store lacks them; byte code isn't, since
    Python does without. Whoever runs it keeps gc away (``store.writing``), or pins the tree.
    """
    from oslet.workspace.resolving import contents

    sealed = workspace.sealed(built)
    store = workspace.store
    tree = whole(workspace.tree(built.image))
    with store.writing():
        if _gone(store, tree):
            workspace.progress("unpacking what was left out", 0, 0)
            lock = workspace.lock_of(built.image)
            contents(lock, Debian(suite=lock.suite), store, workspace.progress)
            gone = _gone(store, tree)
            if lost := [e.path for e in gone.values() if e.origin != BYTE_CODE]:
                workspace.notice(f"{len(lost)} dropped files can't be had again ({lost[0]}, …): build the image here")
            tree = Tree(tuple(e for e in tree.entries if e.path not in gone))
        return sealed._replace(tree=store.save(tree), root=store.lay_down(tree))


def _gone(store: Store, tree: Tree) -> dict[str, Entry]:
    """The files of a tree whose content the store lacks, by path."""

    def there(entry: Entry) -> bool:
        if store.has_object(entry.digest, entry.mode, entry.size):
            return True
        try:
            return bool(store.object(entry.digest, entry.mode))  # the same content may stand there under another mode
        except IntegrityError:
            return False

    return {e.path: e for e in tree.entries if e.kind == "file" and not there(e)}


def audited(workspace: Workspace, ref: str) -> tuple[Finding, ...]:
    """The dropped paths that a watched instance asked for until now. RunError for one that isn't watched."""
    from oslet.run import watching

    found = watching.of(workspace.places.state, ref)
    return findings(found, workspace.tree(workspace.store.load(found.image, Image))) if found.image else ()


def post_mortem(workspace: Workspace, ref: str) -> tuple[Missing, ...]:
    """What an instance that ended in an error complained of, of all that its image leaves out."""
    from oslet.run import inspect, logs
    from oslet.trim.missing import missing

    instance = inspect(workspace.places.state, ref)
    if not instance.exit_code:
        return ()
    said = b"".join(line.text for line in logs(workspace.places.state, instance.id, tail=LAST))
    try:
        tree = workspace.tree(workspace.store.load(instance.image, Image))
    except IntegrityError:
        return ()  # the image is gone: there is nothing to hold it against
    return missing(said.decode("utf-8", "replace"), tree)


def explained(error: RunError, tree: Tree) -> RunError:
    """The error of a start, with the dropped path that it complains of, if it does."""
    from oslet.trim.missing import missing

    found = missing(f"{error.what}\n{error.where}", tree)
    return RunError(error.what, where=error.where, hint="\n".join(map(str, found))) if found else error


# Traces


def trace_of(declared: Declared) -> Trace | None:
    """The trace beside the declaration, or None when there is none."""
    try:
        with declared.trace_file.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeclarationError(f"can't read it: {error.strerror}", where=str(declared.trace_file)) from None
    if len(text) > MAX_BYTES:
        raise DeclarationError(f"over {MAX_BYTES >> 20} MiB", where=str(declared.trace_file))
    return read_trace(text.decode("utf-8", "replace"), declared.trace_file.name)


def traced(workspace: Workspace, ref: str, built: Built) -> Trace:
    """What a watched instance used until now."""
    from oslet.run import watching

    seen = watching.of(workspace.places.state, ref)
    if not seen.ended:
        workspace.notice("the trace ended before the instance did, so it is not whole")
    return trace(seen, workspace.tree(built.image), digest(workspace.lock_of(built.image)))


def keep_trace(target: str, seen: Trace, *, add: bool) -> Trace:
    """Write the trace beside the declaration ``target``; what stands there. ``add`` joins it with one that is there
    and of the same lock."""
    declared = Declared.read(target)
    before = trace_of(declared) if add else None
    if before and before.lock == seen.lock:
        seen = joined(before, seen)
    _write(declared, seen)
    return seen


def _write(declared: Declared, trace: Trace) -> None:
    """Write the trace beside the declaration; a crash leaves the old one or the new one."""
    new = declared.trace_file.with_name(f".{declared.trace_file.name}.{os.getpid()}")
    try:
        new.write_text(write_trace(trace), encoding="utf-8")
        new.replace(declared.trace_file)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise DeclarationError(f"can't write the trace: {error.strerror}", where=str(declared.trace_file)) from None


class Witness:
    """Holds a build against the trace beside its declaration. A trace of another lock is worth a notice, no more."""

    def __init__(self, workspace: Workspace, declared: Declared, lock: Lock) -> None:
        self._store = workspace.store
        self._where = declared.trace_file.name
        self._trace = trace_of(declared)
        if self._trace and self._trace.lock != digest(lock):
            workspace.notice(f"{self._where} is of another lock, and was not held against this build: trace again")
            self._trace = None

    def hear(self, tree: Tree) -> None:
        """BuildError if the trace saw used what ``tree`` leaves out."""
        if self._trace:
            check_trace(tree, self._trace, where=self._where)

    def agrees(self, image: Image) -> None:
        """The same for an image that was built already; what agreed once isn't read again."""
        if self._trace is None:
            return
        key = digest((self._trace, image.tree))
        if self._store.recall("traces", key) is None:
            self.hear(self._store.load(image.tree, Tree))
            self._store.remember("traces", key, b"agreed")
