"""Volumes as disks: a file with an ext4 in it, made by mke2fs(8) of e2fsprogs 1.47 with what is to be there first.

The file is sparse: it takes as much room as is written to it. mke2fs reads a tar (``-d``), whose owners hold, so that
an ordinary user can make a disk with root's files.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from oslet.errors import RunError
from oslet.formats.tar import Member, MemberKind, Writer
from oslet.model.tree import Entry
from oslet.run import ids
from oslet.run.placing import Index

FILE = "disk.ext4"
"""What a volume's folder holds if it is a disk."""
_BEGUN = f".{FILE}."
"""Begins the names of what that is made from, beside it, and so in the folder that it is made of."""
SIZE = 1 << 30
"""Bytes of a volume unless something else is said."""
LEAST = 1 << 20
MOST = 16 << 40
"""ext4's with blocks of 4 KiB."""
MOST_FILES = 1_000_000

Members: TypeAlias = Iterable[tuple[Member, Iterable[bytes]]]


def disk(
    file: Path,
    mke2fs: Path,
    content: Members = (),
    *,
    size: int = SIZE,
    owner: tuple[int, int] = (0, 0),
    name: str = "",
    uuid: str = "",
) -> Path:
    """``file`` with an ext4 of ``size`` bytes that holds ``content``; ``owner`` has its top folder, if that
    isn't part of it. ``name`` is its label. A file that is there stays as it is.

    With a ``uuid`` it is the same bytes each time. RunError when it can't be made; then there is no file.
    """
    if file.exists():
        return file
    if not LEAST <= size <= MOST:
        raise RunError(f"a volume can't have {size} bytes", where=str(file), hint=f"from {LEAST >> 20} MiB on")
    file.parent.mkdir(parents=True, exist_ok=True)
    new, archive = (file.with_name(f".{file.name}.{os.getpid()}.{end}") for end in ("new", "tar"))
    try:
        with archive.open("wb") as stream:
            writer = Writer(stream)
            for member, chunks in _rooted(content, owner):
                writer.add(member, chunks)
            writer.close()
        with new.open("wb") as made:
            made.truncate(size)
        _format(new, mke2fs, archive, name, uuid)
        try:
            os.link(new, file)  # unlike a rename, never over another one
        except FileExistsError:
            return file
    except (OSError, ValueError) as error:  # ValueError: a file that changed while it was read
        raise RunError(f"the volume's disk can't be made: {error}", where=str(file)) from None
    finally:
        new.unlink(missing_ok=True)
        archive.unlink(missing_ok=True)
    return file


def _rooted(content: Members, owner: tuple[int, int]) -> Iterator[tuple[Member, Iterable[bytes]]]:
    """The content after its top folder."""
    waiting = iter(content)
    first = next(waiting, None)
    if first is None or first[0].path != "/":
        yield Member("/", "dir", 0o755, *owner), ()
    if first is not None:
        yield first
    yield from waiting


def _format(file: Path, mke2fs: Path, archive: Path, name: str, uuid: str) -> None:
    extended = ["assume_storage_prezeroed=1", "lazy_journal_init=1", "lazy_itable_init=1"]  # a new file is zeros
    words = [str(mke2fs), "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-d", str(archive)]
    environment = {"MKE2FS_CONFIG": str(mke2fs.parents[2] / "etc/mke2fs.conf"), "PATH": os.defpath}  # not the machine's
    if uuid:
        extended.append(f"hash_seed={uuid}")
        words += ["-U", uuid]
        environment["SOURCE_DATE_EPOCH"] = "1"
    words += ["-L", name[:16], "-E", ",".join(extended), str(file)]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", env=environment, check=False)
    if done.returncode:
        raise RunError("mke2fs can't make the volume", where=done.stderr.strip()[-300:], hint="is its size too small?")


def of_image(index: Index, root: Path, path: str, owner: tuple[int, int]) -> Members:
    """What an image has at a volume's ``path``, ``root`` being its tree, laid down. The top folder is whose the image
    says, root excepted: then ``owner``'s, who is to write there."""
    place = index.resolve(path)
    top = index.entries.get(place)
    whose = (top.uid, top.gid) if top and (top.uid or top.gid) else owner
    yield Member("/", "dir", top.mode if top else 0o755, *whose), ()
    below = f"{place}/"
    for inner in sorted(p for p in index.entries if p.startswith(below)):
        entry = index.entries[inner]
        yield _member(entry, inner[len(place) :]), _chunks(root / inner[1:]) if entry.kind == "file" else ()


def _member(entry: Entry, path: str) -> Member:
    size = entry.size if entry.kind == "file" else 0
    return Member(path, entry.kind, entry.mode, entry.uid, entry.gid, size, entry.target)


def folder(volume: Path) -> None:
    """RunError for a volume that is a disk, which a container can't have."""
    if (volume / FILE).exists():
        what = f"the volume {volume.name} is a microVM's disk"
        raise RunError(what, where=str(volume / FILE), hint="start it with --microvm, or name another volume")


def of_folder(folder: Path, mapping: ids.Mapping) -> Members:
    """What an instance's folder holds: files, folders, links, whose owners are the instance's. Sockets and FIFOs are
    passed over, as nothing stands behind them. RunError for a path that can't be read."""
    count = 0
    for at, folders, files in os.walk(folder, onerror=_unreadable):
        folders.sort()
        names = sorted(name for name in files if not name.startswith(_BEGUN))
        for each in (Path(at), *(Path(at, name) for name in names), *_links(at, folders)):
            count += 1
            if count > MOST_FILES:
                raise RunError(f"over {MOST_FILES} files", where=str(folder))
            if found := _found(each, folder, mapping):
                yield found


def _links(at: str, folders: list[str]) -> Iterator[Path]:
    return (path for name in folders if (path := Path(at, name)).is_symlink())


def _unreadable(error: OSError) -> None:
    raise RunError(f"a volume's folder can't be read: {error.strerror}", where=str(error.filename)) from None


def _found(path: Path, folder: Path, mapping: ids.Mapping) -> tuple[Member, Iterable[bytes]] | None:
    status = path.lstat()
    kinds: dict[int, MemberKind] = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link"}
    kind = kinds.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return None
    inner = path.relative_to(folder).as_posix()
    where = "/" if inner == "." else f"/{inner}"
    size = status.st_size if kind == "file" else 0
    target = os.readlink(path) if kind == "link" else ""
    mode, time = stat.S_IMODE(status.st_mode), max(0, int(status.st_mtime))
    owner = ids.back(mapping.inner_uids, status.st_uid) or 0, ids.back(mapping.inner_gids, status.st_gid) or 0
    member = Member(where, kind, mode, *owner, size, target, mtime=time)
    return member, _chunks(path, size) if kind == "file" else ()


def _chunks(path: Path, size: int | None = None) -> Iterator[bytes]:
    """A file's content, no more than ``size`` bytes of it: another process may be writing to it."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(handle, "rb") as file:  # noqa: PTH123
        left = size
        while (left is None or left > 0) and (chunk := file.read(1 << 20 if left is None else min(left, 1 << 20))):
            left = None if left is None else left - len(chunk)
            yield chunk
