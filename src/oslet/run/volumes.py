"""Volumes: folders of this machine that outlive instances."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from oslet.errors import RunError
from oslet.run import ids
from oslet.run.placing import Index


class Volume(NamedTuple):
    """A folder of this machine, and where the instance has it."""

    path: str
    host: Path


def chosen(declared: Sequence[str], given: Mapping[str, Any], data: Path, name: str) -> tuple[Volume, ...]:
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


def _host(given: Path | str | None, data: Path, name: str, path: str) -> Path:
    if given is None:
        return data / name / path[1:].replace("/", "-")
    text = os.fspath(given)
    if isinstance(given, Path) or text.startswith(("/", ".", "~")):
        folder = Path(text).expanduser().absolute()
        if not folder.is_dir():
            raise RunError(f"there is no folder {folder} for the volume {path}", hint="make it first, or give a name")
        return folder
    if not text or "/" in text or "\0" in text:
        raise RunError(f"{text!r} is neither a volume's name nor a path", hint="write NAME:/path or /folder:/path")
    return data / text


def prepare(
    volume: Volume, index: Index, root: Path, mapping: ids.Mapping, uid: int, gid: int, data: Path
) -> dict[str, list[str]]:
    """Make a volume's folder where it is missing; an empty one of ours gets the image's own content, as Docker does.

    It belongs to whoever the image says owns that path, root excepted: then to the service user, who is to write
    there. Returns the host paths that are to be owned by others, by ``uid:gid``, from inside the user namespace.
    """
    ours = volume.host.is_relative_to(data)
    if ours:
        volume.host.mkdir(parents=True, exist_ok=True)
    if not ours or _used(volume.host, mapping):
        return {}
    place = index.resolve(volume.path)
    entry = index.entries.get(place)
    top = (entry.uid, entry.gid) if entry and (entry.uid or entry.gid) else (uid, gid)
    owners: dict[str, list[str]] = {}
    _own(volume.host, *top, mapping, owners)
    volume.host.chmod(entry.mode if entry else 0o755)
    below = f"{place}/"
    for path in sorted(p for p in index.entries if p.startswith(below)):
        item, target = index.entries[path], volume.host / path[len(below) :]
        if item.kind == "dir":
            target.mkdir()
        elif item.kind == "link":
            target.symlink_to(item.target)
        else:
            shutil.copyfile(root / path[1:], target, follow_symlinks=False)
        _own(target, item.uid, item.gid, mapping, owners)
        if item.kind != "link":
            target.chmod(item.mode)
    return owners


def _used(folder: Path, mapping: ids.Mapping) -> bool:
    """Whether a volume is an instance's already: something is in it, or it belongs to one of the caller's subordinate
    ids, and then the caller may neither look into it nor change it."""
    return (mapping.rootless and folder.stat().st_uid != os.geteuid()) or any(folder.iterdir())


def _own(target: Path, uid: int, gid: int, mapping: ids.Mapping, owners: dict[str, list[str]]) -> None:
    outer = ids.through(mapping.inner_uids, uid), ids.through(mapping.inner_gids, gid)
    if mapping.single or None in outer:
        return
    if not mapping.rootless:
        os.chown(target, outer[0] or 0, outer[1] or 0, follow_symlinks=False)
    elif outer != (0, 0):
        owners.setdefault(f"{outer[0]}:{outer[1]}", []).append(str(target))


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
