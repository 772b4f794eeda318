"""Trees on disk: folders of hard links to objects."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oslet.codec import digest as digest_of
from oslet.errors import IntegrityError
from oslet.model.tree import Entry, Tree, standable
from oslet.store.contents import Objects
from oslet.store.disk import MTIME, Disk, rename

_NO_LINK = {errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP}
"""Why a hard link may fail: ext4 allows 65000 to an inode; some file systems know none."""


def folder_mode(mode: int) -> int:
    """A folder's mode as it stands on disk: open to its owner, readable by all, never set-id."""
    return (mode & 0o1777) | 0o755


def path_of(disk: Disk, digest: str) -> Path:
    return disk.root / "trees" / digest


def lay_down(disk: Disk, objects: Objects, tree: Tree, digest: str = "") -> Path:
    """The tree's root folder; made under a temporary name and renamed, so it is whole if it is there at all."""
    path = path_of(disk, digest or digest_of(tree))
    if path.is_dir():
        return path
    with landing(disk, path) as temporary:
        _fill(disk, objects, tree, str(temporary))
    return path


@contextmanager
def landing(disk: Disk, path: Path) -> Iterator[Path]:
    """The temporary name of a folder that is to be at ``path``, whole or not at all: this one, or that of another
    process that was quicker."""
    with disk.writing():
        temporary = disk.temporary()
        try:
            yield temporary
            rename(temporary, path)
        except OSError as error:
            remove(temporary)
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or not path.is_dir():
                raise
        except BaseException:
            remove(temporary)
            raise


def _fill(disk: Disk, objects: Objects, tree: Tree, root: str) -> None:
    os.mkdir(root, 0o755)  # noqa: PTH102
    root_mode = 0o755
    folders: dict[str, int] = {"": 0o755}
    for entry in sorted((e for e in tree.entries if e.kind == "dir"), key=lambda e: e.path):
        if entry.path == "/":
            root_mode = folder_mode(entry.mode)
            continue
        _check(entry, folders)
        os.mkdir(root + entry.path, 0o700)  # noqa: PTH102
        folders[entry.path] = folder_mode(entry.mode)
    owner = disk.owner
    for entry in tree.entries:
        if entry.kind == "dir":
            continue
        _check(entry, folders)
        path = root + entry.path
        if entry.kind == "link":
            os.symlink(entry.target, path)  # noqa: PTH211
            os.utime(path, (MTIME, MTIME), follow_symlinks=False)
            if owner is not None:
                os.lchown(path, owner, owner)
        else:
            _link(objects, entry, path)
    folders[""] = root_mode
    for name, mode in sorted(folders.items(), reverse=True):  # deepest first: a folder's time changes with its content
        path = root + name
        if owner is not None:
            os.chown(path, owner, owner)
        os.chmod(path, mode)  # noqa: PTH101
        os.utime(path, (MTIME, MTIME))


def _check(entry: Entry, folders: dict[str, int]) -> None:
    """No entry stands below anything but a folder of this tree, so none can lead out of it."""
    parent, _, name = entry.path.rpartition("/")
    if entry.path[:1] != "/" or parent not in folders or name in ("", ".", ".."):
        raise IntegrityError(f"{entry.path} stands in no folder of the tree", where="tree")
    if not standable(entry):
        raise IntegrityError(f"no file system can hold {ascii(entry.path)[:200]}", where="tree")


def _link(objects: Objects, entry: Entry, path: str) -> None:
    name = objects.name(entry.digest, entry.mode)
    for _ in range(2):
        try:
            os.link(name, path)
            return
        except FileNotFoundError:
            objects.path(entry.digest, entry.mode)  # made from the same content under other permissions
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            _copy(Path(name), path)
            return
    raise IntegrityError("the store lacks this object", where=f"{entry.path}: object {entry.digest}")


def _copy(source: Path, path: str) -> None:
    shutil.copyfile(source, path)
    status = source.stat()
    if os.geteuid() == 0:
        os.chown(path, status.st_uid, status.st_gid)
    os.chmod(path, status.st_mode & 0o777)  # noqa: PTH101
    os.utime(path, (MTIME, MTIME))


def remove(path: Path) -> None:
    """Removes a folder or file of the store's own, however its modes stand; missing is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=False)
    else:
        path.unlink(missing_ok=True)
