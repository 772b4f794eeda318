"""The declaration's own files: surveyed (what is there, by digest) before a build, placed in it."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from oslet.bind import is_rendered
from oslet.build.files import Files
from oslet.codec import digest
from oslet.codec.texts import fill
from oslet.errors import DeclarationError
from oslet.model.oslet import Copy, File, Text
from oslet.model.tree import Entry
from oslet.store import Store

LEFT_OUT = frozenset({".git", ".hg", ".svn", ".venv", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"})
"""Folders of version control and of tools' caches: never copied."""

MAX_FILES = 200_000
CHUNK = 1 << 20


class Placement(NamedTuple):
    """One ``files`` entry as found: its entries in the image, and the host's file behind each regular one."""

    path: str
    digest: str
    entries: tuple[Entry, ...]
    sources: dict[str, Path | bytes]


def survey(files: Iterable[File], beside: Path) -> tuple[Placement, ...]:
    """What the declaration's own content is right now; reads every file, writes nothing.

    Owner is root and modes are 0644 or 0755 (by the owner's execute bit), whatever the umask was. Raises
    DeclarationError for a missing path, a special file, or a link that leaves its folder.
    """
    return tuple(_placement(f, beside) for f in files if not is_rendered(f.content))


def place(files: Files, placements: Iterable[Placement], store: Store) -> None:
    """Put surveyed content into the tree, instead of what packages brought to the same paths."""
    for placement in placements:
        for entry in placement.entries:
            if entry.kind == "dir":
                files.mkdir(entry.path, origin=entry.origin, reason=entry.reason, keep=True)
                continue
            if entry.kind == "file":
                _store(entry, placement.sources[entry.path], store)
            files.place(entry)


def _store(entry: Entry, source: Path | bytes, store: Store) -> None:
    chunks = iter([source]) if isinstance(source, bytes) else _chunks(source)
    found, _ = store.put_stream(chunks, entry.mode)
    if found != entry.digest:
        raise DeclarationError("the file changed while it was read", where=str(source), hint="build again")


def _placement(file: File, beside: Path) -> Placement:
    sources: dict[str, Path | bytes] = {}
    if isinstance(file.content, Text):
        data = fill(file.content.text, {}).encode()  # it holds no param, but perhaps doubled braces
        sources[file.path] = data
        found = hashlib.sha256(data).hexdigest()
        entries = [_entry(file.path, "file", file.content.mode, len(data), found, "")]
    else:
        assert isinstance(file.content, Copy)
        entries = list(_walk(beside / file.content.path, file.path, sources))
    return Placement(file.path, digest(entries), tuple(entries), sources)


def _walk(host: Path, path: str, sources: dict[str, Path | bytes], top: Path | None = None) -> Iterator[Entry]:
    """The entries of a host file or folder as they will stand at ``path``, in name order."""
    try:
        status = host.stat() if top is None else host.lstat()
    except OSError as error:
        raise DeclarationError(f"can't read it: {error.strerror}", where=f"files: {path} = {host}") from None
    if len(sources) > MAX_FILES:
        raise DeclarationError(f"over {MAX_FILES} files", where=f"files: {path}", hint="name a smaller folder")
    if stat.S_ISREG(status.st_mode):
        sources[path] = host
        mode = 0o755 if status.st_mode & 0o100 else 0o644
        yield _entry(path, "file", mode, status.st_size, _hash(host), "")
    elif stat.S_ISLNK(status.st_mode):
        assert top is not None
        target = str(host.readlink())
        if not (host.parent / target).resolve().is_relative_to(top.resolve()):
            raise DeclarationError("this link leads out of the folder", where=str(host), hint="copy what it points to")
        yield _entry(path, "link", 0o777, 0, "", target)
    elif stat.S_ISDIR(status.st_mode):
        yield _entry(path, "dir", 0o755, 0, "", "")
        for child in sorted(host.iterdir()):
            if child.name not in LEFT_OUT:
                yield from _walk(child, f"{path}/{child.name}", sources, top or host)
    else:
        raise DeclarationError("neither a file, a folder nor a link", where=str(host))


def _entry(path: str, kind: str, mode: int, size: int, found: str, target: str) -> Entry:
    reason = "the declaration puts it there (files)"
    return Entry(path, kind, mode, 0, 0, size, found, target, "files", reason)  # type: ignore[arg-type]


def _hash(host: Path) -> str:
    with host.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _chunks(host: Path) -> Iterator[bytes]:
    with host.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk
