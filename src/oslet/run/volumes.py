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
from oslet.run.placing import Index, own

_PATHS = ("/", ".", "~")


class Volume(NamedTuple):
    """Where the instance has it, and the folder of this machine that it is, or is a clone of."""

    path: str
    host: Path | Clone


def chosen(declared: Sequence[str], given: Mapping[str, str | Clone], data: Path, name: str) -> tuple[Volume, ...]:
    """The declared volumes and those given beside them.

    One that isn't given is ``data/NAME/PATH``, so that the next instance of that name finds it again. A given one is a
    folder of this machine (a path, absolute or begun with a dot), or a name, which is a folder below ``data``.
    """
    volumes = []
    for path in dict.fromkeys((*declared, *given)):
        if not path.startswith("/") or os.path.normpath(path) != path or path == "/":
            raise RunError("a volume's path inside the instance is absolute and plain", where=path)
        volumes.append(Volume(path, _host(given.get(path), data, name, path)))
    return tuple(volumes)


def absolute(given: Mapping[str, str | Clone]) -> dict[str, str | Clone]:
    """The same with every path from the root, since the supervisor stands elsewhere."""
    return {
        path: str(Path(what).expanduser().absolute()) if isinstance(what, str) and what.startswith(_PATHS) else what
        for path, what in given.items()
    }


def _host(given: str | Clone | None, data: Path, name: str, path: str) -> Path | Clone:
    if given is None:
        return data / name / path[1:].replace("/", "-")
    text = given.of if isinstance(given, Clone) else given
    if text.startswith(_PATHS):
        folder = Path(text)
        if not folder.is_dir():
            raise RunError(f"there is no folder {folder} for the volume {path}", hint="make it first, or give a name")
        return given if isinstance(given, Clone) else folder.resolve()
    if not text or "/" in text or "\0" in text:
        raise RunError(f"{text!r} is neither a volume's name nor a path", hint="write NAME:/path or /folder:/path")
    return Clone(str(data / text)) if isinstance(given, Clone) else data / text


def prepare(
    volume: Path, path: str, index: Index, root: Path, mapping: ids.Mapping, uid: int, gid: int, data: Path
) -> None:
    """Make a volume's folder where it is missing; an empty one of ours gets the image's own content at ``path``, as
    Docker does.

    It belongs to whoever the image says owns that path, root excepted: then to the service user, who is to write there.
    """
    ours = volume.is_relative_to(data)
    if ours:
        volume.mkdir(parents=True, exist_ok=True)
    if not ours or _used(volume, mapping):
        return
    place = index.resolve(path)
    entry = index.entries.get(place)
    own(volume, *((entry.uid, entry.gid) if entry and (entry.uid or entry.gid) else (uid, gid)), mapping)
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


def _used(folder: Path, mapping: ids.Mapping) -> bool:
    """Whether a volume is an instance's already: something is in it, or it belongs to one of the instances' ids."""
    return (mapping.rootless and folder.stat().st_uid != 0) or any(folder.iterdir())


def remove_volume(data: Path, name: str) -> None:
    """Remove a volume of ours, or all that an instance of that name kept. RunError if there is none.

    What belongs to subordinate ids can only be removed by root of a namespace that has them.
    """
    folder = data / name
    if not name or "/" in name or name in (".", "..") or not folder.is_dir():
        raise RunError(f"there is no volume {name!r}", where=str(data))
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        _remove_inside(folder)
    if folder.exists():
        raise RunError(f"the volume {name} can't be removed whole", where=str(folder))


def _remove_inside(folder: Path) -> None:
    """``rm`` as root of a user namespace with this user's ids."""
    import tempfile

    from oslet.run.inside import inside
    from oslet.run.tools import program

    mapping = ids.mapping(0, 0)
    if mapping.rootless:
        with tempfile.TemporaryDirectory(prefix="oslet-rm-") as name:
            inside(mapping, [program("rm"), "-rf", "--", str(folder)], failed=Path(name) / "failed")
