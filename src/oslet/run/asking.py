"""What a caller says of a start: the image as it lies on disk, and what may be chosen beside the arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

from msgspec import Struct

from oslet.model.image import Image
from oslet.model.oslet import Kernel
from oslet.model.stack import Membership
from oslet.run.filters import Mode
from oslet.run.limits import Limits


class Sealed(NamedTuple):
    """An image ready to run: its value and digest, and the tree it runs, as a digest and as a folder on disk."""

    image: Image
    digest: str
    tree: str
    root: Path


class Clone(Struct, frozen=True):
    """A volume that begins as the folder ``of`` and is the instance's own: nothing of it outlives the instance.

    Nobody writes to ``of`` meanwhile. Without one it begins as the image's own content.
    """

    of: str = ""


Vmm: TypeAlias = Literal["qemu", "uml", "firecracker", "cloud-hypervisor"]
VMMS: tuple[Vmm, ...] = get_args(Vmm)


class Hardware(Struct, frozen=True):
    """What an instance runs on as a microVM.

    ``tree`` and ``root`` are its VMM's, which becomes the sandbox's root, and ``program`` is a path in there;
    ``sealed`` is the folder of the sealed machine. ``memory`` is the guest's, in bytes. Without ``kvm`` the VMM
    computes itself. ``bus`` is how its kernel finds devices. ``mke2fs`` makes its volumes.
    """

    vmm: Vmm
    tree: str
    root: str
    program: str
    sealed: str
    memory: int
    cpus: int = 1
    kvm: bool = False
    bus: Literal["mmio", "pci"] = "mmio"
    mke2fs: str = ""


class Wish(NamedTuple):
    """What a start may choose beside the arguments. Ports are written as Docker's ``-p``.

    ``volumes`` map a path inside to a folder (a path, absolute or begun with a dot), to a volume's name, or to a clone.
    With ``fresh`` every other volume is a clone, too, of its snapshot or else of the image's own content, so that
    nothing of it is kept. ``network`` may also name one of the user's networks, where instances find each other by
    name. ``allow`` are the addresses (``HOST``, ``HOST:PORT``, ``NET/BITS``) that it may reach; None is all.
    ``restart`` says what an end is followed by. ``name`` is made up when empty. ``command``, when given, is run in the
    image's stead. An instance with ``remove`` leaves nothing when it ends. Of a ``watched`` one every path that it uses
    is recorded (``watching``). ``seccomp`` says which system calls it may make: all of ``seccomp.json``, the same with
    those recorded that are not among ``calls``, or only those; ``calls`` are the image's own, which the workspace
    finds. A ``read_only`` instance may write to its volumes, /tmp and /run, and nowhere else. One with a ``membership``
    is found by its member's name, too, on its network. ``microvm`` says which VMM it runs in, or ``auto``; it is a
    container where that is empty. ``kernel`` is for the declaration's. The workspace finds the ``hardware`` then.
    """

    name: str = ""
    limits: Limits = Limits()
    volumes: Mapping[str, str | Clone] = {}
    publish: tuple[str, ...] = ()
    network: str | None = None
    allow: tuple[str, ...] | None = None
    restart: Literal["no", "on-failure", "always"] = "no"
    env: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    tty: bool = False
    remove: bool = False
    fresh: bool = False
    watched: bool = False
    seccomp: Mode = "default"
    calls: tuple[str, ...] | None = None
    read_only: bool = False
    membership: Membership | None = None
    microvm: Literal["", "auto"] | Vmm = ""
    kernel: Kernel | None = None
    hardware: Hardware | None = None

    @property
    def heard(self) -> bool:
        """Whether somebody listens to what its filter tells."""
        return self.watched or self.seccomp == "log"


class Places(NamedTuple):
    """Where instances are kept (gone at the next boot), volumes (kept), and the store's folder."""

    state: Path
    data: Path
    store: Path
