"""Oslet × Lock × placed content → Plan. Pure: the plan's digest names the image before it is built."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from oslet.codec import digest
from oslet.errors import DeclarationError
from oslet.model.lock import Lock
from oslet.model.oslet import Oslet, Wants
from oslet.model.plan import Install, Place, Plan, Step, Synthesise, Take, Unpack
from oslet.model.source import Source

RULES = 3
"""The version of the rules that make a tree from packages: raised when a change of oslet changes images."""

FROM_IMAGE = ("image", "trim", "settle", "features", "packages", "files", "linker-cache", "byte-code")
"""The named steps when the files are an existing image's: its packages were configured where it was made."""

SYNTHESIS = ("merge", "trim", "debian", "features", "packages", "files", "linker-cache", "byte-code")
"""The named steps between packages and the sealed tree, in order."""


def wants_digest(wants: Wants, source: Source, arch: str) -> str:
    """The identity of what was resolved: a lock made for other wants, another source or machine is stale."""
    return digest((wants, source.wanted, arch))


def check(oslet: Oslet, lock: Lock, *, where: str = "") -> None:
    """Refuse a lock that does not belong to this declaration (DeclarationError)."""
    if lock.wants != wants_digest(oslet.wants, oslet.source, lock.arch):
        raise DeclarationError(
            "the lock is stale: packages, wheels or the source changed since it was written",
            where=where,
            hint="run `oslet lock` to resolve them again",
        )


def furnish(oslet: Oslet, lock: Lock) -> Oslet:
    """The declaration with what it leaves unsaid of its start taken from the image that it starts from, if it does."""
    if lock.image is None:
        return oslet
    said, found = oslet.start, lock.image.start
    env = dict(found.env) | dict(said.env)
    start = replace(
        said,
        command=said.command or found.command,
        env=tuple(sorted(env.items())),
        workdir=said.workdir or found.workdir,
        user=said.user or found.user,
        ports=said.ports or found.ports,
        volumes=said.volumes or found.volumes,
        health=said.health or found.health,
        stop_signal=said.stop_signal or found.stop_signal,
    )
    return replace(oslet, start=start)


def plan(oslet: Oslet, lock: Lock, placed: Mapping[str, str]) -> Plan:
    """What a build will do; ``placed`` maps each path of ``files`` that the image holds to the digest of its content.

    The other ``files`` are rendered when an instance starts.
    """
    oslet = furnish(oslet, lock)
    steps: list[Step]
    if lock.image is not None:
        steps = [Take(lock.image.manifest), *(Synthesise(step) for step in FROM_IMAGE)]
    else:
        steps = [Unpack(p.name, p.version, p.sha256) for p in lock.packages]
        steps += [Install(w.name, w.version, w.sha256, lock.python) for w in lock.wheels]
        steps += [Synthesise(step) for step in SYNTHESIS]
    steps += [Place(path, found) for path, found in placed.items()]
    return Plan(
        name=oslet.name,
        arch=lock.arch,
        suite=lock.suite,
        steps=tuple(steps),
        policy=oslet.policy,
        start=oslet.start,
        params=oslet.params,
        rendered=tuple((f.path, digest(f.content)) for f in oslet.files if f.path not in placed),
        rules=RULES,
        named=tuple(p.name for p in lock.packages if not p.by) + tuple(w.name for w in lock.wheels if not w.by),
    )
