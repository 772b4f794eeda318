"""Facts: what a sandbox of one image needs to be made, read once, and how it is furnished."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from oslet.model.image import Image
from oslet.model.tree import Entry, Tree
from oslet.run import config, filters, ids, landlock, placing, users, volumes
from oslet.run.asking import Hardware
from oslet.run.limits import Limits
from oslet.run.machine import disks
from oslet.run.net.plug import Plug
from oslet.run.placing import Node
from oslet.run.supervisor import mounts
from oslet.run.supervisor.launch import Launch
from oslet.store import Store

if TYPE_CHECKING:
    from oslet.run.supervisor.deciding import Asked
    from oslet.run.supervisor.slots import Slot

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WRITABLE = ("/tmp", "/run")
"""What a read-only instance may write to beside its volumes."""


class Layout(NamedTuple):
    """What has to be known when a slot is filled: slots of one layout are alike. ``netns`` is a descriptor of the
    network namespace to join; -1 is one of its own without a way out, and None the machine's. A guest is a clone of
    what is in the folder ``snapshot``, or, as a ``template``, leaves it there."""

    image: str
    tree: str
    root: str
    limits: Limits
    attached: tuple[volumes.Volume, ...]
    data: str
    network: str
    capabilities: tuple[str, ...]
    workdir: str
    warm: tuple[str, ...] = ()
    netns: int | None = -1
    seccomp: filters.Mode = "default"
    calls: tuple[str, ...] | None = None
    read_only: bool = False
    hardware: Hardware | None = None
    plug: Plug | None = None
    snapshot: str = ""
    template: bool = False

    @property
    def cloned(self) -> bool:
        return bool(self.snapshot) and not self.template

    @property
    def key(self) -> Layout:
        """What two slots have in common when either would do."""
        return self._replace(netns=-1, plug=None, snapshot="")


class Facts:
    """One image on one tree, as far as sandboxes need it."""

    def __init__(self, store: Store, image: str, tree: str, root: Path, outer: ids.Outer) -> None:
        self.image = store.load(image, Image)
        self.root = root
        self.mapping = ids.mapping(self.image.uid, self.image.gid, outer)
        # What a sandbox is made by, and no more: it is remembered.
        entries = (
            Entry(e.path, e.kind, e.mode, e.uid, e.gid, size=e.size, target=e.target)
            for e in store.load(tree, Tree).entries
        )
        self.index = placing.Index.of(entries)
        self.account = users.account(root, self.image.uid)
        self._owned = placing.owned(self.index)
        own = _writable(self.index, self.image.uid, self.image.gid)
        folders = _topmost(path for path in own if self.index.entries[path].kind == "dir")
        files = (*own, *(self.index.resolve(file.path) for file in self.image.rendered))
        self._folders = folders
        self._files = [p for p in files if p not in folders and not any(p.startswith(f"{f}/") for f in folders)]
        self._groups = tuple(g for g in self.account.groups if ids.has_gid(self.mapping, g))

    def furnish(self, place: Path, layout: Layout) -> None:
        """The sandbox's file system at ``place``: the image's tree below the instance's own layer, and its volumes."""
        user = self.mapping.rootless
        mounts.tmpfs(place, layout.limits.scratch)
        for name in ("upper", "work", "root", "volumes"):
            (place / name).mkdir()
        placing.place(place / "upper", self._nodes(layout), self.index, self.root, self.mapping)
        for number, volume in enumerate(layout.attached):
            self._attach(place, number, volume, layout)
        mounts.overlay(place / "root", self.root, place / "upper", place / "work", user=user)

    def _nodes(self, layout: Layout) -> tuple[Node, ...]:
        """What the sandbox's own layer begins with."""
        names = placing.names(layout.network, layout.plug.resolv if layout.plug else "")
        there = layout.workdir == "/" or self.index.resolve(layout.workdir) in self.index.entries
        folder = () if there else (Node(layout.workdir, 0o755, folder=True),)
        return (*self._owned, *names, *folder)

    def owner(self, path: str) -> tuple[int, int]:
        """Whose a volume at ``path`` is: as in the image, but root's is the service user's, who is to write there."""
        return volumes.owner(path, self.index, self.image.uid, self.image.gid)

    def told(self, asked: Asked, hostname: str, slot: Slot) -> tuple[Node, ...]:
        """The files that exist once its arguments are known."""
        image = self.image
        return placing.rendered(asked.rendered, image.params, asked.arguments, image.uid, image.gid)

    def environment(self, env: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """Variables, over those that everything has."""
        return tuple({"PATH": _PATH, "HOME": self.account.home, **dict(env)}.items())

    def waiting(self, layout: Layout, *, parked: bool) -> Launch | None:
        """What a sandbox is while it waits, if that is more than the stub: a Python that imports what the application
        will."""
        if not layout.warm:
            return None
        start = self.image.start
        modules = ("_OSLET_WARM", " ".join(start.warm.modules))
        return Launch((*layout.warm, "-"), (*self.environment(start.env), modules), "/", lock=self.lock(layout))

    def becoming(self, asked: Asked, *, waits: bool) -> Launch:
        """What a sandbox is told to be, but for its environment and streams. One that ``waits`` is more than a stub."""
        return Launch(asked.command, (), asked.contract.workdir, lock=self.lock(asked.layout))

    def _attach(self, place: Path, number: int, volume: volumes.Volume, layout: Layout) -> None:
        """One volume at ``place/volumes/NUMBER``: itself, or a clone whose changes are on the instance's own tmpfs."""
        data, target = Path(layout.data), place / "volumes" / str(number)
        target.mkdir()
        made = (volume.path, self.index, self.root, self.mapping, self.image.uid, self.image.gid)
        if isinstance(volume.host, Path):
            disks.folder(volume.host)
            volumes.prepare(volume.host, *made, data, volume.first)
            mounts.bind(volume.host, target)
        elif not volume.host.of:
            volumes.prepare(target, *made, place)
        else:
            over, work = place / f"over{number}", place / f"work{number}"
            over.mkdir()
            work.mkdir()
            info = Path(volume.host.of).stat()
            os.chown(over, info.st_uid, info.st_gid)
            over.chmod(info.st_mode & 0o7777)
            mounts.overlay(target, Path(volume.host.of), over, work, user=self.mapping.rootless)

    def lock(self, layout: Layout) -> bytes:
        """Landlock's rules for an instance, as the stub takes them. An image whose user is root may write where it
        likes in its own root, as ever."""
        paths = [volume.path for volume in layout.attached]
        if not self.image.uid and not layout.read_only:
            return landlock.pack([landlock.Rule("/", landlock.ALL), landlock.Rule("/dev", landlock.DEVICES)])
        return landlock.pack(landlock.rules(paths, self._folders, self._files, read_only=layout.read_only))

    def config(self, layout: Layout, number: str) -> dict[str, Any]:
        """What the runtime is told of a slot; the stub is descriptor 4 of the process that it starts."""
        process = config.Process(
            args=("/proc/self/fd/4",),
            env=(),
            workdir="/",
            uid=self.image.uid,
            gid=self.image.gid,
            groups=self._groups,
            capabilities=layout.capabilities,
        )
        place = Path(config.PLACE) / number
        # Of the instance's own layer, so that what is rendered there is seen. Links could lead out of it: folders only.
        folders = [p for p in _WRITABLE if (e := self.index.entries.get(p)) and e.kind == "dir"]
        kept = [(f"{place}/root{path}", path) for path in folders] if layout.read_only else []
        return config.config(
            process,
            hostname=number,
            mapping=self.mapping,
            volumes=[*kept, *self._bound(layout, place)],
            files=self._lent(layout),
            network=layout.netns,
            writable=not layout.read_only,
            filters=self._filters(layout),
        )

    def _bound(self, layout: Layout, place: Path) -> list[tuple[str, str]]:
        """The volumes, as they lie beside the root, and where they are inside."""
        return [(f"{place}/volumes/{n}", v.path) for n, v in enumerate(layout.attached)]

    def _filters(self, layout: Layout) -> dict[str, Any]:
        return filters.filter_of(layout.seccomp, layout.calls)

    def _lent(self, layout: Layout) -> list[tuple[str, str]]:
        """What of this machine is to be seen inside, and only read."""
        return []


def _writable(index: placing.Index, uid: int, gid: int) -> list[str]:
    """Where a tree's modes let a user write."""

    def may(entry: Entry) -> bool:
        owner = entry.uid == uid and entry.mode & 0o200
        return bool(owner or (entry.gid == gid and entry.mode & 0o020) or entry.mode & 0o002)

    return [path for path, entry in index.entries.items() if entry.kind != "link" and may(entry)]


def _topmost(paths: Iterable[str]) -> list[str]:
    """Without what is below another one."""
    kept: list[str] = []
    for path in sorted(paths, key=lambda path: path.split("/")):
        if not kept or not path.startswith(f"{kept[-1]}/"):
            kept.append(path)
    return kept
