"""Debian packages → objects in the store, and the record of what each holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from oslet.codec import canonical, decode
from oslet.errors import IntegrityError
from oslet.formats import deb as format_deb
from oslet.formats.tar import Member
from oslet.model.tree import Contents, Entry
from oslet.store import Store
from oslet.store.contents import hash_file

Progress: TypeAlias = Callable[[str, int, int], None]

READER = 2
"""The version of this reader: another one reads a package again."""

_ROOM = "contents"


def ingest_deb(store: Store, deb: Path, *, name: str, sha256: str) -> Contents:
    """What the package ``name`` in the file ``deb`` holds; its files become objects of the store.

    Entries are in path order, with ``origin`` the package's name and no reason yet; hard links are entries with the
    same digest. Remembered by digest. Raises IntegrityError when the file isn't of that ``sha256`` or no sound package;
    the damaged download is dropped from the store, so that the next run fetches it again.
    """
    with store.writing():
        known = _recall(store, name, sha256)
        if known is not None:
            return known
        if hash_file(deb) != sha256:
            if store.blob(sha256) == deb:
                store.drop_blob(sha256)
            raise IntegrityError("the package is not what was locked", where=deb.name, hint="run it again")
        control = {m: text.decode("utf-8", "replace") for m, text in sorted(format_deb.control(deb).items())}
        contents = Contents(name, sha256, _entries(store, deb, name), control)
        store.remember(_ROOM, _key(name, sha256), canonical(contents))
        return contents


def ingest_many(
    store: Store,
    debs: Iterable[tuple[str, str, Path]],
    *,
    workers: int = 2,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Contents]:
    """``ingest_deb`` for each (name, sha256, path), in parallel; name → Contents, in the order given.

    xz is most of the work and lets go of the interpreter, so two workers on two cores take little over half the time.
    """
    from concurrent.futures import ThreadPoolExecutor, as_completed

    wanted = list(debs)
    found: dict[str, Contents] = {}
    with store.writing(), ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        # The largest first, so that none is left alone at the end.
        largest = sorted(wanted, key=lambda each: each[2].stat().st_size, reverse=True)
        jobs = {pool.submit(ingest_deb, store, path, name=name, sha256=sha256): name for name, sha256, path in largest}
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                found[jobs[job]] = job.result()
                if progress is not None:
                    progress("unpacking packages", done, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return {name: found[name] for name, _, _ in wanted}


def _key(name: str, sha256: str) -> str:
    return f"{READER} {name} {sha256}"


def _recall(store: Store, name: str, sha256: str) -> Contents | None:
    data = store.recall(_ROOM, _key(name, sha256))
    if data is None:
        return None
    try:
        contents = decode(data, Contents)
    except IntegrityError:  # written by another version of these words
        return None
    whole = all(store.has_object(e.digest, e.mode, e.size) for e in contents.entries if e.kind == "file")
    return contents if whole else None


def _entries(store: Store, deb: Path, name: str) -> tuple[Entry, ...]:
    found: dict[str, Entry] = {}
    for member, content in format_deb.members(deb):
        if member.kind == "file":
            digest, size = store.put_stream(content, member.mode)
            found[member.path] = _entry(member, name, size=size, digest=digest)
        elif member.kind == "hardlink":
            first = found.get(member.target)
            if first is None or first.kind != "file":
                raise IntegrityError(
                    f"a hard link to {member.target}, which is no file before it", where=f"{deb.name}: {member.path}"
                )
            found[member.path] = Entry(
                member.path, "file", first.mode, first.uid, first.gid, first.size, first.digest, origin=name
            )
        else:
            found[member.path] = _entry(member, name)
    found.pop("/", None)
    return tuple(found[path] for path in sorted(found))


def _entry(member: Member, origin: str, *, size: int = 0, digest: str = "") -> Entry:
    kind = "file" if member.kind == "hardlink" else member.kind
    mode = 0o777 if kind == "link" else member.mode
    return Entry(member.path, kind, mode, member.uid, member.gid, size, digest, member.target, origin)
