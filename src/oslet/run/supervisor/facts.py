"""Facts: what a sandbox of one image needs to be made, read once, and how it is furnished."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from oslet.model.image import Image
from oslet.model.tree import Tree
from oslet.run import config, ids, placing, users, volumes
from oslet.run.asking import Clone
from oslet.run.limits import Limits
from oslet.run.supervisor import mounts
from oslet.store import Store


class Layout(NamedTuple):
    """What has to be known when a slot is filled: slots of one layout are alike. ``netns`` is a descriptor of the
    network namespace to join; -1 is one of its own without a way out, and None the machine's."""

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
    resolv: str = ""
    netns: int | None = -1

    @property
    def key(self) -> Layout:
        """What two slots have in common when either would do."""
        return self._replace(netns=-1, resolv="")


class Facts:
    """One image on one tree, as far as sandboxes need it."""

    def __init__(self, store: Store, image: str, tree: str, root: Path, outer: ids.Outer) -> None:
        self.image = store.load(image, Image)
        self.root = root
        self.mapping = ids.mapping(self.image.uid, self.image.gid, outer)
        self.index = placing.Index.of(store.load(tree, Tree))
        self.account = users.account(root, self.image.uid)
        self._owned = placing.owned(self.index)
        self._groups = tuple(g for g in self.account.groups if ids.has_gid(self.mapping, g))

    def furnish(self, place: Path, layout: Layout) -> None:
        """The sandbox's file system at ``place``: the image's tree below the instance's own layer, and its volumes."""
        user = self.mapping.rootless
        mounts.tmpfs(place, layout.limits.scratch)
        for name in ("upper", "work", "root", "volumes"):
            (place / name).mkdir()
        folder = placing.Node(layout.workdir, 0o755, folder=True)
        there = self.index.resolve(layout.workdir) in (*self.index.entries, "/")
        nodes = (*self._owned, *placing.names(layout.network, layout.resolv), *(() if there else (folder,)))
        placing.place(place / "upper", nodes, self.index, self.root, self.mapping)
        for number, volume in enumerate(layout.attached):
            target = place / "volumes" / str(number)
            target.mkdir()
            if isinstance(volume.host, Clone):
                for name in ("over", "work"):
                    (place / f"{name}{number}").mkdir()
                info = Path(volume.host.of).stat()
                os.chown(place / f"over{number}", info.st_uid, info.st_gid)
                (place / f"over{number}").chmod(info.st_mode & 0o7777)
                mounts.overlay(
                    target, Path(volume.host.of), place / f"over{number}", place / f"work{number}", user=user
                )
            else:
                who = (self.image.uid, self.image.gid)
                data = Path(layout.data)
                volumes.prepare(volume.host, volume.path, self.index, self.root, self.mapping, *who, data)
                mounts.bind(volume.host, target)
        mounts.overlay(place / "root", self.root, place / "upper", place / "work", user=user)

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
        return config.config(
            process,
            hostname=number,
            mapping=self.mapping,
            volumes=[(f"{config.PLACE}/{number}/volumes/{n}", v.path) for n, v in enumerate(layout.attached)],
            network=layout.netns,
        )
