"""Debian archives: a source's signed indexes, the packages a lock names, and a folder that outlives the archive.

Indexes are kept: for ``FRESH`` seconds they are taken as they are, without a connection; after that, or when
``refresh`` is set, each pocket's InRelease is read again, and its Packages files only if their digests changed. When no
server answers and no refresh was asked for, what is kept serves as long as its ``Valid-Until`` allows.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from msgspec import Struct

from oslet.archive import index as tables
from oslet.archive.mirror import Mirror, keyring, mirror
from oslet.archive.release import (
    MAX_INDEX,
    MAX_RELEASE,
    Listed,
    Release,
    check_age,
    check_release,
    indexes,
    read_release,
    signed_text,
)
from oslet.archive.transport import Missing, Transport
from oslet.codec import canonical, decode, digest
from oslet.errors import IntegrityError, NetworkError, OsletError
from oslet.model.lock import Arch, Package
from oslet.model.source import Debian

if TYPE_CHECKING:
    from oslet.store import Store

Progress: TypeAlias = Callable[[str, int, int], None]

FRESH = 3600.0
"""Seconds for which a kept index is taken without asking the mirror."""
CONNECTIONS = 8


class Pocket(NamedTuple):
    """One suite of a source: which archive it is in (empty: the main one), its URL, and its name there."""

    archive: str
    url: str
    suite: str


class Kept(Struct, frozen=True):
    """What is remembered of a verified pocket: when it was read, its date and end, digests of its Packages files."""

    read: float
    date: float
    valid_until: float
    packages: tuple[str, ...]


def pockets(source: Debian, found: Mirror) -> tuple[Pocket, ...]:
    """The suite itself, then its pockets, as ``model.source.Debian`` describes them."""
    result = [Pocket("", found.url, source.suite)]
    for text in source.pockets:
        archive, colon, suffix = text.rpartition(":")
        result.append(Pocket(archive if colon else "", found.archive(archive), f"{source.suite}-{suffix}"))
    return tuple(result)


def index(
    source: Debian,
    arch: Arch,
    store: Store,
    transport: Transport,
    *,
    clock: Callable[[], float] = time.time,
    refresh: bool = False,
    progress: Progress | None = None,
) -> tables.Shelves:
    """What the source offers for ``arch``, signature and digests verified.

    Raises IntegrityError when an index is unsigned, expired, altered, cut short or older than one seen before,
    NetworkError when a mirror can't be reached and nothing usable is kept, DeclarationError without mirror or keyring.
    """
    found = mirror(source)
    keys = keyring(source, found)
    now = clock()
    wanted = pockets(source, found)

    kept = [_kept(pocket, source, arch, store, keys) for pocket in wanted]

    def one(pocket: Pocket, known: Kept | None) -> list[tables.Shelf]:
        if known is None or refresh or not _fresh(known, now):
            known = _renewed(pocket, source, arch, store, transport, keys, now, known, refresh=refresh)
        return [tables.Shelf(pocket.archive, tables.file_of(store.root / "index", d)) for d in known.packages]

    if progress:
        progress(f"reading the indexes of {source.suite}", 0, len(wanted))
    if not refresh and all(known and _fresh(known, now) for known in kept):
        parts = [one(*each) for each in zip(wanted, kept)]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(wanted)) as pool:
            parts = list(pool.map(one, wanted, kept))
    return tables.Shelves([shelf for part in parts for shelf in part])


def _kept_key(pocket: Pocket, source: Debian, arch: Arch, keys: bytes) -> str:
    who = [pocket.url, pocket.suite, list(source.components), arch, hashlib.sha256(keys).hexdigest(), tables.TABLES]
    return digest(who)


def _seen_key(pocket: Pocket, keys: bytes) -> str:
    """Per mirror as well: whoever sits between can't change which mirror is declared, and a snapshot may be older."""
    return "newest-" + digest([pocket.url, pocket.suite, hashlib.sha256(keys).hexdigest()])


def _kept(pocket: Pocket, source: Debian, arch: Arch, store: Store, keys: bytes) -> Kept | None:
    data = store.recall("debian", _kept_key(pocket, source, arch, keys))
    if data is None:
        return None
    kept = decode(data, Kept)
    folder = store.root / "index"
    return kept if all(tables.file_of(folder, d).exists() for d in kept.packages) else None


def _fresh(kept: Kept, now: float) -> bool:
    return 0 <= now - kept.read < FRESH and not (kept.valid_until and now > kept.valid_until)


def _renewed(
    pocket: Pocket,
    source: Debian,
    arch: Arch,
    store: Store,
    transport: Transport,
    keys: bytes,
    now: float,
    kept: Kept | None,
    *,
    refresh: bool,
) -> Kept:
    """One pocket read again; as it is kept, when no server answers, none was demanded, and its date allows it."""
    try:
        return _read_again(pocket, source, arch, store, transport, keys, now, kept)
    except NetworkError as error:
        if kept is None or refresh or isinstance(error, Missing):
            raise
        check_age(kept.valid_until, now, where=_release_url(pocket))
        return kept


def _release_url(pocket: Pocket) -> str:
    return f"{pocket.url}/dists/{pocket.suite}/InRelease"


def _read_again(
    pocket: Pocket,
    source: Debian,
    arch: Arch,
    store: Store,
    transport: Transport,
    keys: bytes,
    now: float,
    before: Kept | None,
) -> Kept:
    """Read and verify a pocket's InRelease, and its Packages files where their digests are new."""
    where = _release_url(pocket)
    try:
        data = b"".join(transport.get(where, limit=MAX_RELEASE))
    except Missing:
        hint = "check suite and mirror under [source]"
        if pocket.suite != source.suite:
            hint = f'if this source has no {pocket.suite}, say which it has: pockets = ["updates"], or pockets = []'
        raise Missing(f"the mirror has no suite {pocket.suite}", where=where, hint=hint) from None
    release = read_release(signed_text(data, keys, where=where), where=where)
    newest = float(store.recall("debian", _seen_key(pocket, keys)) or 0)
    check_release(release, pocket.suite, arch, now, newest, where=where)
    digests = []
    for component in source.components:
        for path, packed, plain in indexes(release, component, arch, where=where):
            digests.append(_shelf(pocket, release, path, packed, plain, store, transport))
    if release.date > newest:
        store.remember("debian", _seen_key(pocket, keys), repr(release.date).encode())
    kept = Kept(now, release.date, release.valid_until, tuple(digests))
    store.remember("debian", _kept_key(pocket, source, arch, keys), canonical(kept))
    for old in set(before.packages if before else ()) - set(kept.packages):  # 40 MB each; whoever has it open keeps it
        tables.file_of(store.root / "index", old).unlink(missing_ok=True)
    return kept


def _shelf(
    pocket: Pocket,
    release: Release,
    path: str,
    packed: Listed,
    plain: Listed | None,
    store: Store,
    transport: Transport,
) -> str:
    """Make the sqlite file of one Packages file unless it is there; the digest it is kept under."""
    file = tables.file_of(store.root / "index", packed.sha256)
    if file.exists():
        return packed.sha256
    suite = f"{pocket.url}/dists/{pocket.suite}"
    url = f"{suite}/{path}"
    if release.by_hash:
        url = f"{suite}/{path.rpartition('/')[0]}/by-hash/SHA256/{packed.sha256}"
    if packed.size > MAX_INDEX:
        raise IntegrityError(f"an index of {packed.size} bytes", where=url)
    data = _checked(transport.get(url, limit=packed.size), packed, where=url)
    bound = plain.size if plain else MAX_INDEX
    tables.write(_plain(data, path.rpartition(".")[2], plain, bound, url), file, where=f"{suite}/{path}")
    return packed.sha256


def _checked(chunks: Iterable[bytes], listed: Listed, *, where: str) -> bytes:
    """A whole index, packed as it came, held against size and digest *before* any of it is unpacked."""
    data = b"".join(chunks)
    if len(data) != listed.size:
        raise IntegrityError(f"the index has {len(data)} bytes, not the {listed.size} that were signed", where=where)
    if hashlib.sha256(data).hexdigest() != listed.sha256:
        raise IntegrityError(
            "the index is not the one that was signed: its sha256 differs", where=where, hint="use another mirror"
        )
    return data


def _plain(data: bytes, packing: str, listed: Listed | None, bound: int, where: str) -> Iterator[bytes]:
    """The index unpacked, at most ``bound`` bytes, held against its plain digest where the Release has one."""
    import lzma
    import zlib

    hashed, total = hashlib.sha256(), 0
    try:
        for chunk in _unpacked(data, packing):
            total += len(chunk)
            if total > bound:
                raise IntegrityError(f"the index unpacks to more than {bound} bytes", where=where)
            hashed.update(chunk)
            yield chunk
    except (lzma.LZMAError, zlib.error, EOFError) as error:
        raise IntegrityError(f"the index can't be unpacked: {error}", where=where) from None
    if listed and (total != listed.size or hashed.hexdigest() != listed.sha256):
        raise IntegrityError("the index unpacks to other bytes than were signed", where=where)


def _unpacked(data: bytes, packing: str) -> Iterator[bytes]:
    step = 1 << 20
    if packing == "xz":
        import lzma

        unpacker = lzma.LZMADecompressor(memlimit=256 << 20)
        chunk = unpacker.decompress(data, step)
        while chunk or not (unpacker.eof or unpacker.needs_input):
            yield chunk
            chunk = b"" if unpacker.eof else unpacker.decompress(b"", step)
        if not unpacker.eof:
            raise EOFError("it is cut short")
    elif packing == "gz":
        import zlib

        inflater = zlib.decompressobj(wbits=31)
        chunk = inflater.decompress(data, step)
        while chunk:
            yield chunk
            chunk = inflater.decompress(inflater.unconsumed_tail, step)
        if not inflater.eof:
            raise EOFError("it is cut short")
    else:
        yield from (data[at : at + step] for at in range(0, len(data), step))


def fetch(
    packages: Sequence[Package],
    source: Debian,
    store: Store,
    transport: Transport,
    *,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Every locked package's file, by name, each checked on its way into the store; what the store has isn't fetched.

    Raises IntegrityError when a file isn't the locked one, NetworkError when a mirror can't be reached or has dropped
    a version, DeclarationError when something is to be fetched and no mirror is known.
    """
    paths = {p.name: path for p in packages if (path := store.blob(p.sha256)) is not None}
    missing = sorted((p for p in packages if p.name not in paths), key=lambda p: -p.size)
    if not missing:
        return paths
    from concurrent.futures import ThreadPoolExecutor

    found = mirror(source)
    archives = {name: found.archive(name) for name in {p.archive for p in missing}}

    def one(package: Package) -> tuple[Package, Path]:
        return package, _download(package, archives[package.archive], store, transport)

    total, done = sum(p.size for p in missing), 0
    pool = ThreadPoolExecutor(min(CONNECTIONS, len(missing)))
    try:
        for package, path in pool.map(one, missing):
            paths[package.name] = path
            done += package.size
            if progress:
                progress("fetching packages", done, total)
    finally:
        pool.shutdown(cancel_futures=True)
    return paths


def _download(package: Package, archive: str, store: Store, transport: Transport) -> Path:
    url = f"{archive}/{package.path}"
    try:
        return store.add_blob(transport.get(url, limit=package.size), package.sha256, package.size, where=url)
    except Missing:
        raise NetworkError(
            f"the mirror no longer has {package.name} {package.version}",
            where=url,
            hint="lock again for what it has now, or set mirror = to a folder that oslet vendor wrote",
        ) from None


def vendor(
    packages: Sequence[Package],
    source: Debian,
    store: Store,
    transport: Transport,
    folder: Path,
    *,
    progress: Progress | None = None,
) -> tuple[Path, ...]:
    """Write the locked packages into ``folder`` as a mirror has them, and as ``mirror = FOLDER`` then reads them.

    Packages of an archive beside the main one go into a folder of that archive's name. Returns the files, sorted.
    """
    written = []
    blobs = fetch(packages, source, store, transport, progress=progress)
    for package in packages:
        target = folder.joinpath(*filter(None, (package.archive, package.path)))
        if not target.resolve().is_relative_to(folder.resolve()):
            raise IntegrityError(f"{package.name}'s path leaves the folder: {package.path}", where=str(folder))
        written.append(target)
        if target.is_file() and target.stat().st_size == package.size and _sha256(target) == package.sha256:
            continue
        import shutil

        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{os.getpid()}")
            shutil.copyfile(blobs[package.name], temporary)
            temporary.rename(target)
        except OSError as error:
            raise OsletError(f"can't be written: {error.strerror}", where=str(target)) from None
    return tuple(sorted(written))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
