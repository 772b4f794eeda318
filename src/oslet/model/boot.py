"""What a guest is told when it boots: the program, whose it is, who the guest is, and what lies in it."""

from __future__ import annotations

from msgspec import Struct


class User(Struct, frozen=True):
    """Whose the program is. ``capabilities`` is a mask by number (capabilities(7)) of what root keeps; None: all."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    capabilities: int | None = None


class Identity(Struct, frozen=True):
    """Who a guest is, among others of the same image; empty or 0 for what isn't said.

    ``address`` is an IPv4 address with its prefix (``10.0.2.15/24``), ``mac`` as ``02:…``, ``clock`` in nanoseconds of
    POSIX time. ``seed`` is mixed into the kernel's randomness: a restored guest has what its siblings have.
    """

    hostname: str = ""
    address: str = ""
    gateway: str = ""
    mac: str = ""
    mtu: int = 0
    seed: bytes = b""
    clock: int = 0


class GuestFile(Struct, frozen=True):
    """A file that is written before the program starts."""

    path: str
    data: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    secret: bool = False


class Disk(Struct, frozen=True):
    """A disk, mounted at ``path``: a device file, or ``serial:TEXT`` of a virtio disk. ``kind`` is its file system.

    Its top folder is given to ``owner`` (uid, gid), unless that is None or the disk read-only.
    """

    device: str
    path: str
    kind: str = "ext4"
    read_only: bool = False
    owner: tuple[int, int] | None = None


class Warm(Struct, frozen=True):
    """A Python that a held guest starts before it is told what to run: its words, and the program that it reads
    (``run/native/warm.py``)."""

    argv: tuple[str, ...]
    program: bytes


class Boot(Struct, frozen=True):
    """What a guest is told, or a part of that; what is empty, 0 or None isn't said, and stays as it was said before.

    ``env`` adds to variables said before; ``argv`` replaces. ``stop`` is the signal that asks the program to end.
    """

    argv: tuple[str, ...] = ()
    env: dict[str, str] = {}
    workdir: str = ""
    user: User | None = None
    stop: int = 0
    identity: Identity = Identity()
    files: tuple[GuestFile, ...] = ()
    disks: tuple[Disk, ...] = ()
    read_only: bool | None = None
    warm: Warm | None = None
