"""The hallway: the one object with state. Store, network, clock and environment enter here."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from oslet.codec import digest
from oslet.errors import DeclarationError, RunError
from oslet.model.image import Built, Image
from oslet.model.lock import Arch, Lock
from oslet.model.plan import Plan
from oslet.model.source import Debian, Oci, Source
from oslet.model.tree import Contents, Tree
from oslet.store import Store, home
from oslet.workspace.declared import Declared, is_declaration

if TYPE_CHECKING:
    from oslet.build.place import Placement
    from oslet.build.sandbox import Sandbox
    from oslet.model.instance import Arguments
    from oslet.run import Parked, Places, Sealed, Tools, Wish
    from oslet.store.gc import Freed
    from oslet.trim.calls import Profile
    from oslet.trim.difference import Difference
    from oslet.trim.features import Price
    from oslet.trim.why import Answer
    from oslet.workspace.running import Running
    from oslet.workspace.vmms import Vmm

__all__ = ["Declared", "Planned", "Workspace", "machine_arch"]

PLAIN = Debian()


Progress: TypeAlias = Callable[[str, int, int], None]


def _unwatched(label: str, done: int, total: int) -> None:
    """Progress that nobody listens to."""


def _unheard(notice: str) -> None:
    """A notice that nobody listens to."""


def _accepted(tree: Tree) -> None:
    """For who has nothing against a tree."""


def machine_arch() -> Arch:
    """This machine's architecture by Debian's name; RunError on others than amd64 and arm64."""
    names: dict[str, Arch] = {"x86_64": "amd64", "aarch64": "arm64"}
    found = os.uname().machine
    if found not in names:
        raise RunError(f"oslet runs on x86-64 and arm64, not on {found}")
    return names[found]


class Planned(NamedTuple):
    """What a build will do, and the declaration's own files as they are now."""

    lock: Lock
    plan: Plan
    placements: tuple[Placement, ...]


class Workspace:
    """One user's store and instances. Cheap to make: nothing is read before it is asked for."""

    def __init__(
        self,
        root: Path | None = None,
        *,
        progress: Progress = _unwatched,
        notice: Callable[[str], None] = _unheard,
    ) -> None:
        self.root = root or home(os.environ)
        self.progress = progress
        self.notice = notice

    @cached_property
    def store(self) -> Store:
        from oslet.run.ids import check, store_owner

        check()
        return Store(self.root, owner=store_owner())

    def tools(self, source: Debian = PLAIN, *, network: bool = False) -> Tools:
        """The OCI runtime, and what connects a private ``network``: the host's, else Debian's in the store."""
        from oslet.workspace.tools import tools

        return tools(self.store, self.progress, source, network=network)

    def vmm(self, name: str, source: Debian = PLAIN) -> Vmm:
        """The tree of a virtual machine monitor, to be a sandbox's root: ``qemu``, ``qemu-kvm`` or ``uml``."""
        from oslet.workspace.vmms import vmm

        return vmm(name, self.store, self.progress, source)

    def instance_tools(self) -> Tools:
        """What a supervisor needs of the machine: asked for when one has to be started."""
        from oslet.run.net.slirp import tun_obstacle

        return self.tools(network=not tun_obstacle())

    # Declaration → lock → plan → image

    def lock(self, declared: Declared, *, arch: Arch | None = None, refresh: bool = False) -> Lock:
        """Resolve the declaration; writes nothing. Raises ResolveError, IntegrityError, NetworkError."""
        oslet = declared.oslet
        arch = arch or machine_arch()
        if isinstance(oslet.source, Oci):
            from oslet.workspace import foreign

            return foreign.resolve(oslet.wants, oslet.source, declared.beside, arch, self.store, self.progress)
        from oslet.workspace.resolving import resolve

        return resolve(oslet.wants, oslet.source, arch, self.store, self.progress, refresh=refresh)

    def locked(self, declared: Declared) -> Lock:
        """The lock beside the declaration, checked against it; resolved and written when there is none."""
        from oslet.plan import check

        lock = declared.lock()
        if lock is None:
            lock = self.lock(declared)
            declared.write_lock(lock)
        check(declared.oslet, lock, where=declared.lock_file.name)
        return lock

    def plan(self, declared: Declared) -> Planned:
        """What a build will do. Reads the declaration's own files; writes no more than a first lock."""
        from oslet.build.place import survey
        from oslet.plan import plan

        lock = self.locked(declared)
        placements = survey(declared.oslet.files, declared.beside)
        return Planned(lock, plan(declared.oslet, lock, {p.path: p.digest for p in placements}), placements)

    def trimmed(self, declared: Declared, lock: Lock) -> Tree:
        """The tree of the locked packages as a build would cut it, before anything is made or placed."""
        from oslet.build.foreign.tree import lay
        from oslet.build.merge import merge
        from oslet.trim import trim

        packages = self.contents(declared, lock)
        return trim(lay(packages) if lock.image else merge(packages, lock), lock, declared.oslet.policy)

    def contents(self, declared: Declared, lock: Lock) -> Sequence[Contents]:
        """What the lock's packages and wheels hold, and the image that it starts from, if it does."""
        if isinstance(declared.oslet.source, Oci):
            from oslet.workspace import foreign

            return foreign.contents(lock, declared.oslet.source, declared.beside, self.store, self.progress)
        from oslet.workspace.resolving import contents

        return contents(lock, declared.oslet.source, self.store, self.progress)

    def build(self, declared: Declared, *, witnessed: bool = True) -> Built:
        """The image of a declaration; a second build of the same plan is a look-up. BuildError, too, where the trace
        beside it saw used what would be left out; not if it isn't ``witnessed``, since a new trace has to start from
        an image."""
        from oslet.workspace.edition import edition

        planned = self.plan(declared)
        witness = None
        if witnessed and declared.trace_file.exists():
            from oslet.workspace.watching import Witness

            witness = Witness(self, declared, planned.lock)
        key = digest((digest(planned.plan), edition()))
        if (known := self.store.recall("plans", key)) and (found := self.store.has_image(known.decode())):
            if witness:
                witness.agrees(found)
            if self.store.image_names().get(found.name) != known.decode():
                self.store.tag(found.name, known.decode())
            return Built(known.decode(), found)
        built = self._build(declared, planned, witness.hear if witness else _accepted)
        self.store.remember("plans", key, built.digest.encode())
        return built

    def _build(self, declared: Declared, planned: Planned, accept: Callable[[Tree], None]) -> Built:
        from oslet.build.image import build
        from oslet.plan import furnish
        from oslet.workspace.edition import edition

        lock = planned.lock

        with self.store.writing():
            return build(
                furnish(declared.oslet, lock),
                lock,
                planned.plan,
                planned.placements,
                lambda: self.contents(declared, lock),
                self.store,
                self.sandbox(declared.oslet.source),
                edition=edition(),
                accept=accept,
            )

    def sandbox(self, source: Source) -> Sandbox:
        """Runs the image's own programs for build steps, apart from this machine."""
        suite = source if isinstance(source, Debian) else PLAIN

        def run(rootfs: Path, command: Sequence[str], **how: Any) -> Any:
            from oslet.run.isolated import Isolated

            self.progress(f"running {command[0]} in the image", 0, 0)
            return Isolated(self.tools(suite))(rootfs, command, **how)

        return run

    # Images

    def image(self, target: str, build_arguments: Mapping[str, Any] | None = None, *, witnessed: bool = True) -> Built:
        """The image that ``target`` means: a declaration (built first), a name, a digest or its prefix."""
        if is_declaration(target):
            if target.endswith(".toml") and not Path(target).exists():
                raise DeclarationError("no such file", where=target)
            return self.build(Declared.read(target, build_arguments), witnessed=witnessed)
        return Built(*self.store.find(target))

    def tree(self, image: Image) -> Tree:
        return self.store.load(image.tree, Tree)

    def why(self, image: Image, path: str, *, every: bool = False) -> Answer:
        """Why ``path`` is in an image or isn't; with ``every``, each reason. DeclarationError if it never was there."""
        from oslet.workspace.asking import ask

        return ask(image, path, self.store, self.progress, every=every)

    def features(self, image: Image) -> list[Price]:
        """What the image's packages can do without, dearest first."""
        from oslet.workspace.asking import price

        return price(image, self.store, self.progress)

    def lock_of(self, image: Image) -> Lock:
        return self.store.load(image.lock, Lock)

    def difference(self, a: str, b: str) -> tuple[Difference, tuple[Lock, Lock]]:
        """What differs between two targets, and their locks: all of two images, or the packages if one is a lock."""
        from oslet.trim.difference import between_images, between_locks

        if a.endswith(".lock") or b.endswith(".lock"):
            locks = (self._lock_at(a), self._lock_at(b))
            return between_locks(*locks), locks
        one, other = self.image(a).image, self.image(b).image
        sides = ((one, self.lock_of(one), self.tree(one)), (other, self.lock_of(other), self.tree(other)))
        return between_images(*sides), (sides[0][1], sides[1][1])

    def _lock_at(self, target: str) -> Lock:
        """A target's lock: the file itself, or what the image was built from."""
        if not target.endswith(".lock"):
            return self.lock_of(self.image(target).image)
        from oslet.workspace.declared import lock_file

        if (lock := lock_file(Path(target))) is None:
            raise DeclarationError("no such file", where=target)
        return lock

    # Instances

    @property
    def places(self) -> Places:
        """Where instances and volumes are kept."""
        from oslet.run import Places

        return Places(self.root / "instances", self.root / "volumes", self.root)

    def sealed(self, built: Built) -> Sealed:
        """An image with its tree laid down, ready to run."""
        from oslet.run import Sealed

        if built.image.arch != machine_arch():
            raise RunError(f"{built.image.name} is for {built.image.arch}, this machine is {machine_arch()}")
        return Sealed(built.image, built.digest, built.image.tree, self.store.rootfs(built.image))

    def start(
        self,
        built: Built,
        arguments: Arguments,
        wish: Wish | None = None,
        *,
        notice: Callable[[str], None] = _unheard,
        sealed: Sealed | None = None,
    ) -> Running:
        """An instance in the background; returns as soon as it runs. Raises RunError. ``notice`` is told, in a line
        for a person, what this machine doesn't let it have. A ``sealed`` with the image's whole tree is run instead of
        the image's own."""
        from oslet.run import Wish, start
        from oslet.workspace.running import Running

        wish = self.fitted(built, wish or Wish())
        own = sealed or self.sealed(built)
        self.foretell(own, arguments, wish, notice)
        try:
            instance = start(own, arguments, wish, self.instance_tools, self.places, notice=notice)
        except RunError as error:
            from oslet.workspace.watching import explained

            raise explained(error, self.store.load(own.tree, Tree)) from None
        if sealed:
            self.store.pin(built.digest, instance.id)
            self.store.pin_tree(sealed.tree, instance.id)
        return Running(instance, self, built.image.start, arguments)

    def foretell(self, sealed: Sealed, arguments: Arguments, wish: Wish, notice: Callable[[str], None]) -> None:
        """Tell that a start will have to prepare the image's data first, which takes seconds."""
        start = sealed.image.start
        if not start.warm.prepare or start.warm.snapshot in wish.volumes:
            return
        from oslet.bind import start_with
        from oslet.run.snapshots import place

        snapshot = place(self.places.data, sealed.digest, start_with(start, arguments))
        if snapshot and not snapshot.is_dir():
            notice(f"preparing the data of {sealed.image.name}, once: later starts begin with a copy of it")

    def parked(self, built: Built, arguments: Arguments, wish: Wish, count: int) -> Parked:
        """``count`` slots that wait for starts like this one until they are let go."""
        from oslet.run import parked

        return parked(self.sealed(built), arguments, wish, self.instance_tools, self.places, count)

    def clone_volume(self, source: str, target: str) -> None:
        """A volume that begins as a copy of another one (or of a folder, if ``source`` is a path), and is kept."""
        from oslet.run import clone_volume

        clone_volume(self.places, source, target, self.instance_tools)

    def calls(self, image: Image) -> Profile:
        """The system calls that an image's files can make, and who makes them: seconds the first time."""
        from oslet.workspace.calling import calls

        return calls(self, image)

    def fitted(self, built: Built, wish: Wish) -> Wish:
        """A wish with all that it needs to know of the image, and of what it runs on as a microVM."""
        if wish.microvm and wish.hardware is None:
            from oslet.workspace.hardware import hardware

            wish = wish._replace(hardware=hardware(self, built, wish))
        if wish.seccomp == "default" or wish.calls is not None:
            return wish
        from oslet.workspace.calling import allowed

        return wish._replace(calls=allowed(self, built.image))

    def user(self, instance: str, name: str) -> tuple[int, int]:
        """uid and gid of a user of an instance's image, by name or as ``UID[:GID]``."""
        uid, _, gid = name.partition(":")
        if uid.isdecimal() and (gid or uid).isdecimal():
            return int(uid), int(gid or uid)
        from oslet.build.files import Files
        from oslet.build.users import user_ids
        from oslet.run import inspect

        image = self.store.load(inspect(self.places.state, instance).image, Image)
        return user_ids(Files(self.store, self.tree(image).entries), name)

    def hold(self) -> None:
        """Pin the image of each instance that there is, and of no other: before images are removed, since a start has
        no time for it."""
        from oslet.run import instances
        from oslet.workspace.vmms import HOLDER

        there = {i.id: i.image for i in instances(self.places.state)}
        held = self.store.pins()
        for holder in (held.keys() | self.store.pinned_trees().keys()) - there.keys():
            if not holder.startswith(HOLDER):
                self.store.unpin(holder)
        for holder in there.keys() - held.keys():
            self.store.pin(there[holder], holder)

    def gc(self, *, dry_run: bool = False) -> Freed:
        """Remove what no image and no instance needs."""
        from oslet.run.snapshots import orphans
        from oslet.run.volumes import remove_folder

        self.hold()
        freed = self.store.gc(dry_run=dry_run)
        wanted = {*self.store.image_names().values(), *self.store.pins().values()}
        gone = list(orphans(self.places.data, frozenset(wanted)))
        for folder in () if dry_run else gone:
            remove_folder(folder)
        return freed._replace(snapshots=len(gone))
