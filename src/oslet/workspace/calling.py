"""Calling: which system calls an image's files can make, found when it is asked for and remembered by their digests."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from oslet.codec import canonical, decode
from oslet.errors import IntegrityError
from oslet.formats.code.calls import EDITION, MAX_SCRIPT, NONE, Calls, read
from oslet.model.image import Image
from oslet.model.tree import Entry
from oslet.trim.calls import Profile, profile

if TYPE_CHECKING:
    from oslet.workspace import Workspace

T = TypeVar("T")
_ROOM = "calls"
MAX_FILE = 512 << 20
"""Bytes of the largest file that is read; a larger one may call anything."""
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def calls(workspace: Workspace, image: Image) -> Profile:
    """The system calls that the files of an image can make: seconds the first time, a look-up after that."""
    store, key = workspace.store, f"{EDITION} {image.arch} {image.tree}"
    if (data := store.recall(_ROOM, key)) and (known := _decoded(data, Profile)):
        return known
    files = [e for e in workspace.tree(image).entries if e.kind == "file"]
    found = {}
    for done, entry in enumerate(files):
        workspace.progress("reading programs", done, len(files))
        if (told := _of(workspace, entry)) != NONE:
            found[entry.path] = told
    made = profile(found, _MACHINES[image.arch])
    store.remember(_ROOM, key, canonical(made))
    return made


def allowed(workspace: Workspace, image: Image) -> tuple[str, ...]:
    """The calls of an image's own filter: what its files can make. All that any may, with a notice, if one of them
    can't be read."""
    from oslet.run.filters import every

    found = calls(workspace, image)
    if found.dark:
        path, where = found.dark[0]
        workspace.notice(f"{path} makes calls that can't be told ({where}): {image.name} may make any of the default's")
        return every()
    return tuple(sorted(found.names & {*every()}))


def _of(workspace: Workspace, entry: Entry) -> Calls:
    store = workspace.store
    with store.object(entry.digest).open("rb") as stream:
        program = stream.read(4) == b"\x7fELF"
        if not program and (entry.size > MAX_SCRIPT or entry.path.endswith((".pyc", ".gz", ".png", ".mo"))):
            return NONE
        if entry.size > MAX_FILE:
            return Calls(dark="too large a file")
        if not program:
            stream.seek(0)
            return read(stream.read())
        key = f"{EDITION} {entry.digest}"
        if (data := store.recall(_ROOM, key)) and (known := _decoded(data, Calls)):
            return known
        stream.seek(0)
        told = read(stream.read(), where=entry.path)
    store.remember(_ROOM, key, canonical(told))
    return told


def _decoded(data: bytes, shape: type[T]) -> T | None:
    try:
        return decode(data, shape)
    except IntegrityError:  # another version's
        return None
