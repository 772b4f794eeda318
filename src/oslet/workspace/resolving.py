"""Wants → Lock → packages on disk: the archive and the solver, wired together."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from oslet.archive import debian, pypi
from oslet.archive.transport import HttpTransport
from oslet.build.wheels import lay_wheels
from oslet.errors import ResolveError
from oslet.model.lock import Arch, Lock, Package
from oslet.model.oslet import Wants
from oslet.model.source import Debian
from oslet.model.tree import Contents
from oslet.plan import wants_digest
from oslet.solve import lock as solve
from oslet.store import Store
from oslet.store.ingest import ingest_many

Progress: TypeAlias = Callable[[str, int, int], None]


def resolve(wants: Wants, source: Debian, arch: Arch, store: Store, progress: Progress, *, refresh: bool) -> Lock:
    """Ask the source for exactly which packages and wheels; ``refresh`` reads the indexes again first."""
    progress(f"reading the indexes of {source.suite}", 0, 0)
    index = debian.index(source, arch, store, HttpTransport(), refresh=refresh, progress=progress)
    progress("choosing packages", 0, 0)
    packages = solve(wants, source, index, arch)
    python = python_version(packages)
    wheels = ()
    if wants.wheels:
        if not python:
            raise ResolveError(
                "wheels are asked for, but no package brings Python",
                where="wheels",
                hint='add "python3" to packages',
            )
        progress("choosing wheels", 0, 0)
        wheels = pypi.resolve(wants.wheels, python, arch, glibc=glibc_version(packages))
    return Lock(wants_digest(wants, source.suite, arch), source.suite, arch, python, packages, wheels)


def python_version(packages: Sequence[Package]) -> str:
    """The Python that ``python3`` is among these packages (``3.13``); empty when there is none."""
    versions = [m[1] for p in packages if (m := re.fullmatch(r"python(3\.\d+)-minimal", p.name))]
    return max(versions, key=lambda v: int(v.split(".")[1]), default="")


def glibc_version(packages: Sequence[Package]) -> str:
    """The C library's version among these packages (``2.41``); wheels' manylinux tags are held against it."""
    return next((p.version.split("-")[0] for p in packages if p.name == "libc6"), "")


def contents(lock: Lock, source: Debian, store: Store, progress: Progress) -> tuple[Contents, ...]:
    """Every locked package and wheel, fetched unless the store has it, verified and unpacked into the store."""
    transport = HttpTransport()
    debs = debian.fetch(lock.packages, source, store, transport, progress=progress)
    found = ingest_many(store, [(p.name, p.sha256, debs[p.name]) for p in lock.packages], progress=progress)
    wheels: tuple[Contents, ...] = ()
    if lock.wheels:
        paths = pypi.fetch(lock.wheels, lock.python, lock.arch, store, transport, progress=progress)
        wheels = lay_wheels(store, [(w, paths[w.name]) for w in lock.wheels], lock.python)
    return (*(found[p.name] for p in lock.packages), *wheels)
