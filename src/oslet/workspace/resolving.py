"""Wants → Lock → packages on disk: the archive and the solver, wired together."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from msgspec.structs import replace

from oslet.archive import debian
from oslet.archive.transport import HttpTransport
from oslet.codec.locks import read_lock, write_lock
from oslet.errors import IntegrityError, ResolveError
from oslet.model.lock import Arch, Lock, Package, Wheel
from oslet.model.oslet import Wants
from oslet.model.source import Debian
from oslet.model.tree import Contents
from oslet.plan import wants_digest
from oslet.solve import lock as solve
from oslet.store import Store

Progress: TypeAlias = Callable[[str, int, int], None]

WHEELS = "wheels"
"""Where a vendored folder has its wheels."""
MANYLINUX = "manylinux"
GRANTED = ("libstdc++6",)
"""Debian's packages of what PEP 600 lets a wheel take for granted and python3 doesn't need itself; those of the X
Window System and GLib, which the PEP also lists, are an application's to name."""
RUNTIME = "crun"
"""The package of the OCI runtime."""


def resolve(wants: Wants, source: Debian, arch: Arch, store: Store, progress: Progress, *, refresh: bool) -> Lock:
    """Ask the source for exactly which packages and wheels; ``refresh`` reads the indexes again first."""
    progress(f"reading the indexes of {source.suite}", 0, 0)
    index = debian.index(source, arch, store, HttpTransport(), refresh=refresh, progress=progress)
    progress("choosing packages", 0, 0)
    packages = solve(wants, source, index, arch)
    python = python_version(packages)
    wheels: tuple[Wheel, ...] = ()
    if wants.wheels:
        if not python:
            raise ResolveError(
                "wheels are asked for, but no package brings Python",
                where="wheels",
                hint='add "python3" to packages',
            )
        from oslet.archive import pypi

        progress("choosing wheels", 0, 0)
        wheels = pypi.resolve(wants.wheels, python, arch, glibc=glibc_version(packages))
        if compiled := next((w for w in wheels if MANYLINUX in w.file), None):
            packages = with_granted(packages, compiled, lambda names: solve(_also(wants, names), source, index, arch))
    return Lock(wants_digest(wants, source, arch), source.suite, arch, python, packages, wheels)


def with_granted(
    packages: tuple[Package, ...], compiled: Wheel, solved: Callable[[tuple[str, ...]], tuple[Package, ...]]
) -> tuple[Package, ...]:
    """The packages, and those of the libraries that a manylinux wheel needn't bring; each by that wheel.

    Whether it needs them shows only in its files, which a lock doesn't know; what nothing reaches is trimmed later.
    """
    there = {p.name: p for p in packages}
    try:
        everything = solved(GRANTED)
    except ResolveError:  # an archive without them, or where they don't go together with the rest
        return packages
    asked = f"a manylinux wheel takes {', '.join(GRANTED)} for granted, PEP 600"
    new = (p if p.by else replace(p, by=f"wheel:{compiled.name}", request=asked) for p in everything)
    return tuple(there.get(p.name, p) for p in new)


def _also(wants: Wants, names: tuple[str, ...]) -> Wants:
    return replace(wants, packages=(*wants.packages, *names))


def python_version(packages: Sequence[Package]) -> str:
    """The Python that ``python3`` is among these packages (``3.13``); empty when there is none."""
    versions = [m[1] for p in packages if (m := re.fullmatch(r"python(3\.\d+)-minimal", p.name))]
    return max(versions, key=lambda v: int(v.split(".")[1]), default="")


def glibc_version(packages: Sequence[Package]) -> str:
    """The C library's version among these packages (``2.41``); wheels' manylinux tags are held against it."""
    return next((p.version.split("-")[0] for p in packages if p.name == "libc6"), "")


def contents(lock: Lock, source: Debian, store: Store, progress: Progress) -> tuple[Contents, ...]:
    """Every locked package and wheel, fetched unless the store has it, verified and unpacked into the store; of an
    image, what the store read of it. IntegrityError when it has forgotten that."""
    if lock.image is not None:
        from oslet.build.foreign.reading import recall

        if (known := recall(store, lock.image.manifest)) is None:
            raise IntegrityError(
                "the store no longer knows the image that it was made from",
                where=lock.image.manifest,
                hint="build or slim it again",
            )
        return known
    from oslet.build.wheels import lay_wheels
    from oslet.store.ingest import ingest_many

    debs, wheels = fetch(lock, source, store, progress)
    workers = int(os.environ.get("OSLET_WORKERS", 0)) or min(4, os.cpu_count() or 1)
    wanted = [(p.name, p.sha256, debs[p.name]) for p in lock.packages]
    found = ingest_many(store, wanted, workers=workers, progress=progress)
    laid = lay_wheels(store, [(w, wheels[w.name]) for w in lock.wheels], lock.python) if lock.wheels else ()
    return (*(found[p.name] for p in lock.packages), *laid)


def fetch(lock: Lock, source: Debian, store: Store, progress: Progress) -> tuple[dict[str, Path], dict[str, Path]]:
    """The locked packages and wheels as files, each by name; from the network only what the store lacks.

    A mirror that is a folder which ``vendor`` made has the wheels as well.
    """
    transport = HttpTransport()
    debs = debian.fetch(lock.packages, source, store, transport, progress=progress)
    if not lock.wheels:
        return debs, {}
    from oslet.archive import pypi

    mirror = Path(source.mirror or os.environ.get("OSLET_MIRROR", ""))
    folder = mirror / WHEELS if (mirror / WHEELS).is_dir() else None
    wheels = pypi.fetch(lock.wheels, lock.python, lock.arch, store, transport, folder=folder, progress=progress)
    return debs, wheels


def vendor(lock: Lock, source: Debian, store: Store, folder: Path, progress: Progress) -> None:
    """Put the locked packages and wheels in ``folder``, which later builds accept as a mirror.

    The OCI runtime that builds and instances need is there too, with a lock of its own, for machines without one.
    """
    _, wheels = fetch(lock, source, store, progress)
    transport = HttpTransport()
    debian.vendor(lock.packages, source, store, transport, folder, progress=progress)
    for wheel in lock.wheels:
        target = folder / WHEELS / wheel.file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(wheels[wheel.name], target)
    plain = Debian()
    runtime = resolve(Wants((RUNTIME,)), plain, lock.arch, store, progress, refresh=False)
    debian.vendor(runtime.packages, plain, store, transport, folder, progress=progress)
    (folder / f"{RUNTIME}.lock").write_text(write_lock(runtime))


def vendored_runtime(source: Debian) -> Lock | None:
    """The lock of the OCI runtime in a vendored folder that is the mirror, or None."""
    file = Path(source.mirror or os.environ.get("OSLET_MIRROR", "")) / f"{RUNTIME}.lock"
    return read_lock(file.read_text("utf-8"), str(file)) if file.is_file() else None
