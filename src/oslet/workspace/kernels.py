"""Kernels for images: which one an image asks for, why, and how it is had: from the store, or made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from msgspec import Struct
from msgspec.structs import replace

from oslet.build.kernel import distribution, evidence, making
from oslet.build.kernel.derive import derive, of_class
from oslet.build.kernel.derive import kernel as chosen
from oslet.build.kernel.source import ARCHIVE
from oslet.build.kernel.tables import base, within
from oslet.codec import canonical, decode, digest
from oslet.errors import BuildError, DeclarationError, IntegrityError
from oslet.model.image import Built, Image
from oslet.model.kernel import SHARED, Evidence, Kernel, Option, Recorded, Target
from oslet.model.lock import Lock
from oslet.model.oslet import Kernel as Choice
from oslet.model.oslet import Policy, Template, Text, Wants
from oslet.model.source import Debian

if TYPE_CHECKING:
    from oslet.build.sandbox import Sandbox
    from oslet.workspace import Workspace

_ROOM = "kernel-evidence"
MAX_FILE = 64 << 20
"""Bytes of the largest file that is looked through for paths."""


class Found(Struct, frozen=True):
    """What an image's files show, as it is remembered."""

    evidence: tuple[Evidence, ...]


class Asked(NamedTuple):
    """What an image asks of its kernel, the kernel that serves it, and that one's name: the digest of the wish."""

    derived: tuple[Option, ...]
    kernel: Kernel
    wanted: str


class Made(NamedTuple):
    """A kernel on disk. ``folder`` holds ``kernel.json``, ``config`` and, by target, ``bzImage`` and ``vmlinux`` (which
    PVH enters), or ``linux``; ``modules`` are to be loaded in this order."""

    folder: Path
    kernel: Kernel
    release: str
    modules: tuple[Path, ...] = ()

    @property
    def key(self) -> str:
        """The digest of what it was made from."""
        return self.folder.name


def kernel(
    workspace: Workspace,
    built: Built,
    choice: Choice | None = None,
    target: Target = "microvm",
    also: Iterable[Evidence] = (),
    *,
    exact: bool = True,
) -> Made:
    """The kernel of an image, made unless the store has it: minutes, once for all images of its class. ``choice`` is
    the declaration's unless given; ``also`` is what the way of starting asks for (``vsock``). Where it is "auto" and
    needn't be ``exact``, as it must in what is exported, one of a larger class that is there serves."""
    choice = choice or built.image.start.machine.kernel
    asked = ask(workspace, built, choice, target, also)
    return (None if exact or choice != "auto" else served(workspace, asked)) or have(workspace, asked)


def have(workspace: Workspace, asked: Asked, *, refresh: bool = False) -> Made:
    """The kernel that is asked for, from the store or made."""
    if not refresh and (known := kept(workspace, asked)):
        return known
    with workspace.store.writing():
        if asked.kernel.name == "distribution":
            return _distributed(workspace, asked, refresh)
        return _made(workspace, asked, refresh)


def kept(workspace: Workspace, asked: Asked) -> Made | None:
    """The kernel that is asked for, if the store has it."""
    folder = workspace.store.kernels.find(asked.wanted)
    return _read(workspace, folder) if folder else None


def served(workspace: Workspace, asked: Asked) -> Made | None:
    """A kernel that the store has and that serves: the one that is asked for, or a larger class's."""
    name = asked.kernel.name
    larger = [shared(of_class(other, asked.kernel.target)) for other in SHARED if other != name and within(name, other)]
    return next((made for each in (asked, *larger) if (made := kept(workspace, each))), None)


def ask(
    workspace: Workspace,
    built: Built,
    choice: Choice | None = None,
    target: Target = "microvm",
    also: Iterable[Evidence] = (),
) -> Asked:
    """What an image asks of its kernel. Reads the image's files, which takes seconds the first time."""
    choice = choice or built.image.start.machine.kernel
    derived = derive((*facts(workspace, built.image), *also), target)
    if choice == "distribution":
        if target == "uml":
            raise DeclarationError(
                "the distribution's kernel is no process",
                where="machine.kernel",
                hint='kernel = "auto" makes one that is',
            )
        options = distribution.wanted(derived)
        return Asked(derived, Kernel(target, "distribution", options), _wish(options, "distribution", built.image.arch))
    if built.image.arch != "amd64":
        raise BuildError(
            f"kernels are made for amd64 so far, not for {built.image.arch}",
            where="machine.kernel",
            hint='kernel = "distribution" takes Debian\'s own',
        )
    return shared(chosen(derived, target, None if choice == "auto" else choice), derived)


def shared(wish: Kernel, derived: tuple[Option, ...] = ()) -> Asked:
    """A kernel of a class, for no image in particular."""
    edits = tuple(edit[:3] for edit in base(wish.target).edits)
    return Asked(derived, wish, _wish(wish.options, making.RECIPE, wish.target, edits))


def facts(workspace: Workspace, image: Image) -> tuple[Evidence, ...]:
    """Everything in an image that a kernel has to answer, with where it shows."""
    texts = [(f.path, f.content.text) for f in image.rendered if isinstance(f.content, Template | Text)]
    texts += [(f"param {p.name}", p.default) for p in image.params if isinstance(p.default, str)]
    return evidence.once(
        (
            *evidence.of_start(image.start),
            *(each for where, text in texts for each in evidence.of_text(text, where)),
            *evidence.of_calls(workspace.calls(image)),
            *_of_files(workspace, image),
        )
    )


def _of_files(workspace: Workspace, image: Image) -> tuple[Evidence, ...]:
    store, key = workspace.store, f"{evidence.EDITION} {image.tree}"
    if data := store.recall(_ROOM, key):
        try:
            return decode(data, Found).evidence
        except IntegrityError:  # another version's
            pass
    files = [e for e in workspace.tree(image).entries if e.kind == "file"]
    found: list[Evidence] = []
    for done, entry in enumerate(files):
        workspace.progress("reading files for what the kernel needs", done, len(files))
        if entry.size <= MAX_FILE:
            data = store.object(entry.digest).read_bytes()
            found += evidence.of_file(entry.path, entry.mode, data, own=entry.origin == "files")
    told = evidence.once(found)
    store.remember(_ROOM, key, canonical(Found(told)))
    return told


def _wish(options: Iterable[Option], *parts: object) -> str:
    """The name of a wish: of what decides about bytes, so without the reasons."""
    return digest((*parts, [(o.symbol, o.value) for o in options]))


def _made(workspace: Workspace, asked: Asked, refresh: bool) -> Made:
    from oslet.build.files import Files
    from oslet.build.merge import merge
    from oslet.run.isolated import Isolated
    from oslet.trim import trim
    from oslet.workspace import PLAIN, machine_arch
    from oslet.workspace.resolving import contents

    store, progress = workspace.store, workspace.progress
    if machine_arch() != "amd64":
        raise BuildError(f"kernels are made on amd64, not on {machine_arch()}", hint='kernel = "distribution"')
    lock = _locked(workspace, making.PACKAGES, refresh)
    key = _key(asked, lock)
    if known := store.kernels.get(key):  # the archive has nothing newer
        return _read(workspace, known)
    cut = trim(merge(contents(lock, PLAIN, store, progress), lock), lock, Policy())
    archive = next((e for e in cut.entries if ARCHIVE.fullmatch(e.path)), None)
    if archive is None:
        raise BuildError("the package linux-source brings no source", where=lock.suite)
    rootfs = store.lay_down(Files(store, cut.entries, cut.dropped).tree())
    with store.scratch() as folder:
        jobs = int(os.environ.get("OSLET_WORKERS", 0)) or os.cpu_count() or 1
        bench = making.Bench(
            rootfs,
            store.object(archive.digest),
            folder,
            cast("Sandbox", Isolated(workspace.tools(PLAIN))),
            progress,
            jobs,
        )
        files = making.make(asked.kernel, bench, store.owner)
        return _keep(workspace, asked, lock, key, making.release(bench), files)


def _distributed(workspace: Workspace, asked: Asked, refresh: bool) -> Made:
    from oslet.workspace import PLAIN, machine_arch
    from oslet.workspace.resolving import contents

    store = workspace.store
    lock = _locked(workspace, (distribution.PACKAGES[machine_arch()],), refresh)
    lock = replace(lock, packages=tuple(p for p in lock.packages if distribution.IMAGE.fullmatch(p.name)))
    key = _key(asked, lock)
    if known := store.kernels.get(key):
        return _read(workspace, known)
    entries = [e for c in contents(lock, PLAIN, store, workspace.progress) for e in c.entries]
    with store.scratch() as folder:
        found = distribution.choose(entries, store, asked.kernel.options, folder / "modules")
        files = {"bzImage": found.image, "config": found.config}
        files |= {f"modules/{path.name}": path for path in found.modules}
        return _keep(workspace, asked, lock, key, found.release, files)


def _locked(workspace: Workspace, names: Sequence[str], refresh: bool) -> Lock:
    from oslet.workspace import machine_arch
    from oslet.workspace.resolving import resolve

    plain = Debian()
    return resolve(Wants(tuple(names)), plain, machine_arch(), workspace.store, workspace.progress, refresh=refresh)


def _key(asked: Asked, lock: Lock) -> str:
    return digest((asked.wanted, [(p.name, p.sha256) for p in lock.packages]))


def _keep(workspace: Workspace, asked: Asked, lock: Lock, key: str, release: str, files: dict[str, Path]) -> Made:
    from oslet.store.contents import hash_file

    record = Recorded(
        wanted=asked.wanted,
        release=release,
        kernel=asked.kernel,
        files={name: hash_file(path) for name, path in files.items()},
        modules=tuple(name for name in files if name.startswith("modules/")),
        sources=tuple(f"{p.name} {p.version} {p.sha256}" for p in lock.packages),
    )
    return _read(workspace, workspace.store.kernels.keep(key, files, record))


def _read(workspace: Workspace, folder: Path) -> Made:
    record = workspace.store.kernels.record(folder)
    return Made(folder, record.kernel, record.release, tuple(folder / name for name in record.modules))
