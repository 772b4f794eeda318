"""An existing image as a source: found, pinned, read, and put into the words of a lock."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from oslet.build.foreign.contract import start_of
from oslet.build.foreign.divide import METADATA, ORIGIN, RECORD, RELEASE
from oslet.build.foreign.python import normal_name
from oslet.build.foreign.reading import read_image, recall
from oslet.build.scripts.reading import control_fields
from oslet.codec.nearest import suggestion
from oslet.errors import IntegrityError, ResolveError
from oslet.formats import oci
from oslet.model.lock import IMAGE, Arch, Foreign, Layer, Lock, Package, Wheel
from oslet.model.oslet import Wants
from oslet.model.source import Oci
from oslet.model.tree import Contents
from oslet.plan import wants_digest
from oslet.store import Store
from oslet.store.flatten import Stacked

if TYPE_CHECKING:
    from oslet.archive.registry import Pulled

Progress: TypeAlias = Callable[[str, int, int], None]
Needs: TypeAlias = Mapping[str, Sequence[tuple[str, str]]]
"""Name → the names it needs, each with that relation as it is written."""

_NAME = re.compile(r"\s*([a-z0-9][a-z0-9+.-]*)")


def resolve(wants: Wants, source: Oci, beside: Path, arch: Arch, store: Store, progress: Progress) -> Lock:
    """What the image is right now, pinned by digest, and what of it the declaration names. ResolveError names what it
    names and the image doesn't have."""
    pulled = fetch(source, beside, arch, store, progress)
    contents = _read(pulled, source, store, progress)
    packages = [c for c in contents if not c.origin.startswith("wheel:") and c.origin != ORIGIN]
    wheels = [c for c in contents if c.origin.startswith("wheel:")]
    return Lock(
        wants=wants_digest(wants, source, arch),
        suite=_suite(contents[-1]),
        arch=arch,
        python=_python(packages),
        packages=_packages(wants.packages, packages, source, pulled.digest),
        wheels=_wheels(wants.wheels, wheels, source, pulled.digest),
        image=Foreign(
            pulled.digest,
            tuple(Layer(d.digest, d.size) for d in pulled.manifest.layers),
            start_of(pulled.config),
        ),
    )


def contents(lock: Lock, source: Oci, beside: Path, store: Store, progress: Progress) -> tuple[Contents, ...]:
    """What the locked image consists of; fetched unless the store knows it. IntegrityError if it is another by now."""
    assert lock.image is not None
    if (known := recall(store, lock.image.manifest)) is not None:
        return known
    pulled = fetch(source, beside, lock.arch, store, progress, digest=lock.image.manifest)
    if pulled.digest != lock.image.manifest:
        raise IntegrityError(
            f"the image is {pulled.digest[:19]}…, not {lock.image.manifest[:19]}… as it was locked",
            where=source.oci,
            hint="`oslet lock --upgrade` takes the one that is there now",
        )
    return _read(pulled, source, store, progress)


def fetch(source: Oci, beside: Path, arch: Arch, store: Store, progress: Progress, *, digest: str = "") -> Pulled:
    """The image's manifest, config and layers, in the store and verified; of a registry the one of ``digest``, if
    given. IntegrityError for an image of another system."""
    if (local := source.path) is not None:
        from oslet.archive.layout import load

        progress(f"reading {local[0]}", 0, 0)
        pulled = load(beside / local[0], local[1], store, architecture=arch)
    else:
        from oslet.archive.registry import pull, read_reference

        place = read_reference(source.oci)
        scheme = f"{source.oci.partition('://')[0]}://" if "://" in source.oci else ""
        reference = f"{scheme}{place.host}/{place.repository}@{digest}" if digest else source.oci
        pulled = pull(reference, store, architecture=arch, progress=progress)
    config = pulled.config
    if (config.os, config.architecture) != ("linux", arch):
        found = f"{config.os}/{config.architecture}"[:80]
        raise IntegrityError(f"the image is for {found}, not for linux/{arch}", where=source.oci)
    return pulled


def _read(pulled: Pulled, source: Oci, store: Store, progress: Progress) -> tuple[Contents, ...]:
    diffs = [diff.removeprefix("sha256:") for diff in pulled.config.rootfs.diff_ids]
    layers = [
        Stacked(blob.path, oci.LAYERS[blob.descriptor.media_type], diff) for blob, diff in zip(pulled.layers, diffs)
    ]
    return read_image(store, pulled.digest, layers, where=source.oci, progress=progress)


def _packages(wanted: Sequence[str], found: Sequence[Contents], source: Oci, manifest: str) -> tuple[Package, ...]:
    fields = {c.origin: control_fields(c.control["control"]) for c in found}
    requests: dict[str, str] = {}
    for request in wanted:
        name, _, version = request.partition("=")
        there = fields.get(name, {}).get("Version")
        if there is None or (version and version != there):
            what = f"the image has no package {name}" if there is None else f"the image has {name} {there}"
            hint = suggestion(name, fields, kind="it has") if there is None else f'write "{name}"'
            raise ResolveError(what, where=f"packages: {request} ({source.oci})", hint=hint)
        requests[name] = request
    provided: dict[str, str] = {}
    for name, values in fields.items():
        for each in (name, *(n for n, _ in _relations(values.get("Provides", "")))):
            provided.setdefault(each, name)
    provided |= {name: name for name in fields}
    needs = {
        name: [
            (provided[needed], relation)
            for key in ("Pre-Depends", "Depends")
            for needed, relation in _relations(values.get(key, ""))
            if needed in provided
        ]
        for name, values in fields.items()
    }
    brought = _brought(requests, needs)
    return tuple(
        Package(
            name=c.origin,
            version=fields[c.origin]["Version"],
            arch=fields[c.origin]["Architecture"],
            archive="",
            path=c.control[RECORD].lstrip("/"),
            size=sum(e.size for e in c.entries),
            sha256=c.digest,
            by=brought.get(c.origin, (IMAGE, ""))[0],
            request=brought.get(c.origin, ("", manifest))[1],
        )
        for c in found
    )


def _wheels(wanted: Sequence[str], found: Sequence[Contents], source: Oci, manifest: str) -> tuple[Wheel, ...]:
    heads = {c.origin.removeprefix("wheel:"): c.control[METADATA] for c in found}
    versions = {name: match[1] for name, head in heads.items() if (match := _field("Version", head))}
    requests: dict[str, str] = {}
    if wanted:
        from packaging.requirements import Requirement

        for request in wanted:
            requirement = Requirement(request)
            name = normal_name(requirement.name)
            if name not in heads:
                raise ResolveError(
                    f"the image has no Python distribution {name}",
                    where=f"wheels: {request} ({source.oci})",
                    hint=suggestion(name, heads, kind="it has"),
                )
            if not requirement.specifier.contains(versions[name], prereleases=True):
                raise ResolveError(f"the image has {name} {versions[name]}", where=f"wheels: {request} ({source.oci})")
            requests[name] = request
    needs = {name: [(n, r) for n, r in _requirements(head) if n in heads] for name, head in heads.items()}
    brought = _brought(requests, needs)
    return tuple(
        Wheel(
            name=name,
            version=versions[name],
            file=c.control[RECORD].split("/")[-2],
            size=sum(e.size for e in c.entries),
            sha256=c.digest,
            by=brought.get(name, (IMAGE, ""))[0],
            request=brought.get(name, ("", manifest))[1],
        )
        for c in found
        for name in (c.origin.removeprefix("wheel:"),)
    )


def _brought(named: Mapping[str, str], needs: Needs) -> dict[str, tuple[str, str]]:
    """Each name that the named ones need, with who needs it first (breadth first) and in which words."""
    found = {name: ("", request) for name, request in named.items()}
    todo = deque(sorted(named))
    while todo:
        name = todo.popleft()
        for needed, relation in needs.get(name, ()):
            if needed not in found:
                found[needed] = (name, relation)
                todo.append(needed)
    return found


def _relations(text: str) -> Iterable[tuple[str, str]]:
    """The names in a relation field, each with its clause; of alternatives, all."""
    for clause in text.split(","):
        for part in clause.split("|"):
            if match := _NAME.match(part):
                yield match[1], clause.strip()


def _requirements(head: str) -> Iterable[tuple[str, str]]:
    for line in re.findall(r"^Requires-Dist:[ \t]*(.+)$", head, re.MULTILINE):
        if (match := re.match(r"[A-Za-z0-9._-]+", line)) and "extra ==" not in line:
            yield normal_name(match[0]), line.strip()


def _field(name: str, head: str) -> re.Match[str] | None:
    return re.search(rf"^{name}:[ \t]*(\S{{1,200}})", head, re.MULTILINE)


def _suite(image: Contents) -> str:
    match = re.search(r'^VERSION_CODENAME="?([a-z0-9.-]{1,40})"?$', image.control[RELEASE], re.MULTILINE)
    return match[1] if match else ""


def _python(packages: Sequence[Contents]) -> str:
    """Debian's Python among the packages (``3.13``), if it is there."""
    versions = [match[1] for c in packages if (match := re.fullmatch(r"python(3\.\d+)-minimal", c.origin))]
    return max(versions, key=lambda v: int(v.split(".")[1]), default="")
