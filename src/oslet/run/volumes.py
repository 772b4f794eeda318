"""Volumes: folders of this machine that outlive instances."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from oslet.errors import RunError
from oslet.run import ids
from oslet.run.asking import Clone
from oslet.run.cloning import clone
from oslet.run.placing import Index, own

_PATHS = ("/", ".", "~")


class Volume(NamedTuple):
    """Where the instance has it, and the folder of this machine that it is, or is a clone of; a folder of ours that
    nothing is in yet begins as a copy of ``first``, if that is said."""

    path: str
    host: Path | Clone
    first: Path | None = None


def chosen(
    declared: Sequence[str],
    given: Mapping[str, str | Clone],
    data: Path,
    name: str,
    *,
    snapshots: Mapping[str, Path] = {},
    fresh: bool = False,
) -> tuple[Volume, ...]:
    """The declared volumes and those given beside them.

    One that isn't given is ``data/NAME/PATH``, so that the next instance of that name finds it again. A given one is a
    folder of this machine (a path, absolute or begun with a dot), or a name, which is a folder below ``data``. A new
    one begins as its path's snapshot. If all are to be ``fresh``, one that isn't given is a clone, and isn't kept.
    """
    volumes = []
    for path in dict.fromkeys((*declared, *given)):
        if not path.startswith("/") or os.path.normpath(path) != path or path == "/":
            raise RunError("a volume's path inside the instance is absolute and plain", where=path)
        first = snapshots.get(path)
        if fresh and path not in given:
            volumes.append(Volume(path, Clone(str(first or ""))))
        else:
            volumes.append(Volume(path, _host(given.get(path), data, name, path), first))
    return tuple(volumes)


def folder(text: str, data: Path) -> Path:
    """The folder that a volume's name or a path means, always spelled alike; it may not be there."""
    if text.startswith(_PATHS):
        return Path(text).expanduser().resolve()
    if not text or "/" in text or "\0" in text:
        raise RunError(f"{text!r} is neither a volume's name nor a path", hint="write NAME:/path or /folder:/path")
    return data / text


def absolute(given: Mapping[str, str | Clone]) -> dict[str, str | Clone]:
    """The same with every path from the root, since the supervisor stands elsewhere."""
    return {
        path: Clone(_absolute(what.of)) if isinstance(what, Clone) else _absolute(what) for path, what in given.items()
    }


def _absolute(text: str) -> str:
    return str(Path(text).expanduser().absolute()) if text.startswith(_PATHS) else text


CLONE = "@clone"
"""Behind a volume's name or path, where it is written as text: the instance has a clone of it."""


def written(text: str) -> str | Clone:
    """What stands before the colon of ``--volume``."""
    return Clone(text.removesuffix(CLONE)) if text.endswith(CLONE) else text


def _host(given: str | Clone | None, data: Path, name: str, path: str) -> Path | Clone:
    if given is None:
        return data / name / path[1:].replace("/", "-")
    text = given.of if isinstance(given, Clone) else given
    if isinstance(given, Clone) and not text:
        return given
    found = folder(text, data)
    if not found.is_dir() and (isinstance(given, Clone) or text.startswith(_PATHS)):
        raise RunError(f"there is no folder {found} for the volume {path}", hint="make it first, or give a name")
    return Clone(str(found)) if isinstance(given, Clone) else found


def prepare(
    volume: Path,
    path: str,
    index: Index,
    root: Path,
    mapping: ids.Mapping,
    uid: int,
    gid: int,
    data: Path,
    first: Path | None = None,
) -> None:
    """Make a volume's folder where it is missing; an empty one of ours becomes a copy of ``first``, or else gets the
    image's own content at ``path``, as Docker does.

    It belongs to whoever the image says owns that path, root excepted: then to the service user, who is to write there.
    """
    ours = volume.is_relative_to(data)
    if ours:
        volume.mkdir(parents=True, exist_ok=True)
    if not ours or used(volume, mapping):
        return
    if first:
        clone(first, volume, data)
        return
    place = index.resolve(path)
    entry = index.entries.get(place)
    own(volume, *owner(path, index, uid, gid), mapping)
    volume.chmod(entry.mode if entry else 0o755)
    below = f"{place}/"
    for inner in sorted(p for p in index.entries if p.startswith(below)):
        item, target = index.entries[inner], volume / inner[len(below) :]
        if item.kind == "dir":
            target.mkdir()
        elif item.kind == "link":
            target.symlink_to(item.target)
        else:
            shutil.copyfile(root / inner[1:], target, follow_symlinks=False)
        own(target, item.uid, item.gid, mapping)
        if item.kind != "link":
            target.chmod(item.mode)


def owner(path: str, index: Index, uid: int, gid: int) -> tuple[int, int]:
    """Whose a volume's top folder is: whoever the image says owns that path, root excepted: then the service user."""
    entry = index.entries.get(index.resolve(path))
    return (entry.uid, entry.gid) if entry and (entry.uid or entry.gid) else (uid, gid)


def used(folder: Path, mapping: ids.Mapping) -> bool:
    """Whether a volume is an instance's already: something is in it, or it belongs to one of the instances' ids."""
    return (mapping.rootless and folder.stat().st_uid != 0) or any(folder.iterdir())


def named(data: Path) -> tuple[str, ...]:
    """The volumes' names; one that an instance left has the instance's."""
    return tuple(sorted(p.name for p in data.iterdir() if not p.name.startswith("."))) if data.is_dir() else ()


def remove_volume(data: Path, name: str) -> None:
    """Remove a volume of ours, or all that an instance of that name kept. RunError if there is none.

    What belongs to subordinate ids can only be removed by root of a namespace that has them.
    """
    folder = data / name
    if not name or "/" in name or name.startswith(".") or not folder.is_dir():
        raise RunError(f"there is no volume {name!r}", where=str(data))
    remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder that instances wrote to. RunError if it can't be."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        _remove_inside(folder)
    if folder.exists():
        raise RunError(f"the volume {folder.name} can't be removed whole", where=str(folder))


def _remove_inside(folder: Path) -> None:
    """``rm`` as root of a user namespace with this user's ids."""
    import tempfile

    from oslet.run.inside import inside
    from oslet.run.tools import program

    mapping = ids.mapping(0, 0)
    if mapping.rootless:
        with tempfile.TemporaryDirectory(prefix="oslet-rm-") as name:
            inside(mapping, [program("rm"), "-rf", "--", str(folder)], failed=Path(name) / "failed")
