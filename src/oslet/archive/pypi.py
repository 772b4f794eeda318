"""Python distributions: what an image needs of an index, chosen by uv, locked by digest, fetched and verified.

uv runs as a program in an empty folder, so that no project of the caller's has a say; its user and machine settings
and its environment variables hold, as they do for every other use of it. A lock keeps file names and digests only:
where a file is served is asked again when it is fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

from oslet.archive import uvtool
from oslet.errors import OsletError, ResolveError
from oslet.model.lock import Arch, Wheel

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from oslet.store import Store

Progress: TypeAlias = Callable[[str, int, int], None]

CONNECTIONS = 8
MAX_WHEEL = 4 << 30
"""Bytes of the largest wheel that is fetched when the index doesn't say its size."""


class Transport(Protocol):
    """How bytes are read from a URL; ``archive/transport.py`` has the real one."""

    def get(self, url: str, *, limit: int, offset: int = 0) -> Iterator[bytes]: ...


class Offer(NamedTuple):
    """One wheel as the index offers it. ``size`` is 0 when the index doesn't say."""

    name: str
    version: str
    file: str
    size: int
    sha256: str
    url: str


def resolve(
    requirements: Sequence[str],
    python: str,
    arch: Arch,
    *,
    glibc: str = "",
    exclude_newer: str = "",
    folder: Path | None = None,
    progress: Progress | None = None,
) -> tuple[Wheel, ...]:
    """Exactly which wheels answer these PEP 508 requirements in an image, sorted by name.

    ``python`` (``3.13``), ``arch`` and ``glibc`` (``2.41``; what that Python's Debian has, when empty) are the image's.
    ``exclude_newer`` (RFC 3339) leaves out later uploads; ``folder``, one of wheels, is the only source when given.
    Raises ResolveError when there is no answer or a requirement can't be locked, NetworkError when no index answers.
    """
    asked = [_requirement(text) for text in requirements]
    if not asked:
        return ()
    if progress:
        progress("choosing wheels", 0, 0)
    target = uvtool.Target(python, arch, glibc)
    lines = [str(requirement) for requirement in asked]
    offers = _best(_offers(uvtool.lock(lines, target, exclude_newer=exclude_newer, folder=folder)), target)
    pins = [f"{offer.name}=={offer.version}" for offer in offers.values()]
    parents = uvtool.parents(lines, pins, target, exclude_newer=exclude_newer, folder=folder)
    brought = _brought(offers, parents)
    direct = {_canonical(r.name): text for r, text in zip(asked, requirements)}
    return tuple(
        Wheel(
            name=name,
            version=offer.version,
            file=offer.file,
            size=offer.size,
            sha256=offer.sha256,
            by=brought[name],
            request=parents[name][brought[name]] if brought[name] else direct[name],
        )
        for name, offer in sorted(offers.items())
    )


def fetch(
    wheels: Sequence[Wheel],
    python: str,
    arch: Arch,
    store: Store,
    transport: Transport,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Every locked wheel as a file of the store, by distribution; only what the store lacks is fetched.

    ``folder``, one of wheels (``oslet vendor`` makes it), is the only source when given. Raises IntegrityError when a
    file isn't the locked one, ResolveError when the index no longer has it, NetworkError when none answers.
    """
    found = {w.name: path for w in wheels if (path := store.blob(w.sha256)) is not None}
    missing = [w for w in wheels if w.name not in found]
    if not missing:
        return found
    if folder is not None:
        urls = {w.name: _in_folder(folder, w).absolute().as_uri() for w in missing}
    else:
        if progress:
            progress("asking where the wheels are", 0, 0)
        urls = _locate(missing, python, arch)

    def one(wheel: Wheel) -> tuple[str, Path]:
        limit = wheel.size or MAX_WHEEL
        chunks = _file(urls[wheel.name]) if folder is not None else transport.get(urls[wheel.name], limit=limit)
        return wheel.name, store.add_blob(chunks, wheel.sha256, wheel.size or None, where=wheel.file)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for done, (name, path) in enumerate(pool.map(one, missing), 1):
            found[name] = path
            if progress:
                progress("fetching wheels", done, len(missing))
    return found


def _requirement(text: str) -> Requirement:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise ResolveError(
            f"{text!r} is not a requirement: {str(error).splitlines()[0]}",
            where="wheels",
            hint='write a distribution\'s name and what versions will do, as in "fastapi>=0.110"',
        ) from None
    if requirement.url:
        raise ResolveError(
            f"{requirement.name} is asked for by URL, which a lock can't hold",
            where="wheels",
            hint="ask for a version that the index has, or put the wheel in an index of your own",
        )
    return requirement


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _offers(lock: Mapping[str, object]) -> Iterator[Offer]:
    """Every wheel that uv's pylock.toml (PEP 751) lists."""
    packages = lock.get("packages")
    for package in packages if isinstance(packages, list) else []:
        name, version = str(package.get("name", "")), str(package.get("version", ""))
        for wheel in package.get("wheels", ()):
            url = str(wheel.get("url") or Path(str(wheel.get("path", ""))).absolute().as_uri())
            sha256 = str(wheel.get("hashes", {}).get("sha256", ""))
            file = str(wheel.get("name") or unquote(urlsplit(url).path.rpartition("/")[2]))
            size = wheel.get("size")
            if not isinstance(size, int):
                size = Path(unquote(urlsplit(url).path)).stat().st_size if url.startswith("file:") else 0
            if len(sha256) != 64:
                raise ResolveError(
                    f"the index gives no sha256 for {file}", where="wheels", hint="use an index that serves digests"
                )
            yield Offer(_canonical(name), version, file, size, sha256, url)


def _best(offers: Iterator[Offer], target: uvtool.Target) -> dict[str, Offer]:
    """For each distribution the wheel that suits the target best, as an installer ranks tags (PEP 425)."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    rank = {tag: place for place, tag in enumerate(target.tags())}
    best: dict[str, tuple[int, Offer]] = {}
    others: dict[str, list[str]] = {}
    for offer in offers:
        others.setdefault(offer.name, []).append(offer.file)
        try:
            *_, tags = parse_wheel_filename(offer.file)
        except InvalidWheelFilename as error:
            raise ResolveError(str(error), where="wheels") from None
        places = [rank[tag] for tag in tags if tag in rank]
        if places and (offer.name not in best or min(places) < best[offer.name][0]):
            best[offer.name] = (min(places), offer)
    for name, files in others.items():
        if name not in best:
            raise ResolveError(
                f"{name} has no wheel for {target}; it has {', '.join(sorted(files)[:4])}",
                where="wheels",
                hint=f"ask for another version, or for Debian's own package (python3-{name}, perhaps) in packages",
            )
    return {name: offer for name, (_, offer) in best.items()}


def _brought(offers: Mapping[str, Offer], parents: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Who brought each distribution: nearest to the declaration first, so that every chain ends there."""
    brought = {name: "" for name in sorted(offers) if uvtool.DECLARED in parents.get(name, ())}
    ring = list(brought)
    while ring:
        found = {}
        for name in sorted(offers):
            if name not in brought and (by := min((p for p in parents.get(name, ()) if p in ring), default="")):
                found[name] = by
        brought.update(found)
        ring = list(found)
    for name in offers:
        if name not in brought:
            raise ResolveError(f"uv doesn't say what needs {name}", where="wheels", hint="update uv")
    return brought


def _in_folder(folder: Path, wheel: Wheel) -> Path:
    path = folder / Path(wheel.file).name
    if not path.is_file():
        raise ResolveError(
            f"{wheel.file} isn't there", where=str(folder), hint="make the folder again with oslet vendor"
        )
    return path


def _file(url: str) -> Iterator[bytes]:
    with Path(unquote(urlsplit(url).path)).open("rb") as stream:
        while chunk := stream.read(1 << 20):
            yield chunk


def _locate(wheels: Sequence[Wheel], python: str, arch: Arch) -> dict[str, str]:
    """Where the index serves each of these files now."""
    target = uvtool.Target(python, arch, "")
    pins = [f"{w.name}=={w.version}" for w in wheels]
    urls: dict[str, str] = {}
    failure: OsletError | None = None
    for everything in (False, True):  # the wheel that suits best, then all: a better one may have come since the lock
        try:
            offers = list(_offers(uvtool.lock(pins, target, alone=True, everything=everything)))
        except ResolveError as error:
            failure = error
            continue
        by_digest = {offer.sha256: offer.url for offer in offers}
        urls = {w.name: by_digest[w.sha256] for w in wheels if w.sha256 in by_digest}
        if len(urls) == len(wheels):
            return urls
    gone = next(w for w in wheels if w.name not in urls)
    raise ResolveError(
        f"the index no longer has {gone.file} with the locked digest" + (f": {failure.what}" if failure else ""),
        where="wheels",
        hint="lock anew, or build from a folder that oslet vendor made",
    )
