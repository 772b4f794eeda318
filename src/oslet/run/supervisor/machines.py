"""Machines: a sandbox whose root is a virtual machine monitor's, and what its guest is told (docs/machines.md).

What it becomes is the shim, with the monitor as its child; the image is a disk of the guest's. All that is around a
sandbox is as it is for a container.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from oslet.errors import RunError
from oslet.formats import boot as records
from oslet.model.boot import Boot, Disk, GuestFile, Identity, User, Warm
from oslet.model.oslet import SecretFile
from oslet.run import config, copying, ids, landlock, native, placing, wire
from oslet.run.asking import Hardware, Wish
from oslet.run.limits import Limits
from oslet.run.machine import disks, guest, qemu, snapshots, uml
from oslet.run.net import bared
from oslet.run.net.plug import Plug
from oslet.run.placing import Node
from oslet.run.supervisor.facts import Facts, Layout
from oslet.run.supervisor.launch import Launch
from oslet.run.volumes import Volume
from oslet.store import Store

if TYPE_CHECKING:
    from oslet.run.supervisor.deciding import Asked
    from oslet.run.supervisor.slots import Slot

SHIM, IMAGE, PLACE, DISKS = "/oslet/shim", "/oslet/image", "/oslet/run", "/oslet/disks"
SNAPSHOT = "/oslet/snapshot"
_OVERHEAD = 192 << 20
"""Bytes that a monitor needs beside its guest's memory: translated code, for one that computes itself."""
_SEED = 32
_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
"""By their numbers, linux/capability.h."""


def check(wish: Wish, network: str) -> None:
    """RunError for what a microVM can't have."""
    if network == "host":
        raise RunError("a microVM has a network card of its own", hint="leave --network host out; ports are published")
    if wish.heard or wish.seccomp != "default":
        raise RunError(
            "what happens in a microVM can't be watched or filtered from outside", hint="do so in a container"
        )


def park(layout: Layout, count: int) -> None:
    """RunError where so many guests can't wait for such a start."""
    kept = [volume.path for volume in layout.attached if isinstance(volume.host, Path)]
    if layout.hardware and kept and count > 1:
        raise RunError(
            f"{count} guests can't wait with the volume for {kept[0]}: its disk is one guest's at a time",
            hint="park one, or start them with --fresh, each with a volume of its own",
        )


def limits(wanted: Limits, hardware: Hardware | None) -> Limits:
    """What the sandbox of a monitor may use, if its guest is to use what is ``wanted``."""
    if hardware is None:
        return wanted
    memory = wanted.memory and max(wanted.memory, hardware.memory) + _OVERHEAD
    return replace(wanted, memory=memory, scratch=max(wanted.scratch, hardware.memory + _OVERHEAD))


def inside(launch: Launch, user: tuple[int, int], tty: bool) -> Launch:
    """What a sandbox's further process is told to be, so that ``launch`` happens in the guest."""
    words = [SHIM, "exec", f"{PLACE}/agent", *(["-t"] if tty else []), "-u", f"{user[0]}:{user[1]}"]
    return launch._replace(command=(*words, "-w", launch.workdir, "--", *launch.command), workdir="/")


def carrying(asked: wire.Carry) -> tuple[str, ...]:
    """The words that carry files of the guest's. RunError for what its agent can't do."""
    if asked.only not in ("", "read"):
        raise RunError("a guest's agent removes no files", hint="oslet exec, if the image has a program for that")
    return (SHIM, asked.only or ("unpack" if asked.into else "pack"), f"{PLACE}/agent", asked.path, *asked.more)


class MachineFacts(Facts):
    """One image in one monitor; ``container`` are the image's own."""

    def __init__(self, store: Store, image: str, hardware: Hardware, container: Facts, outer: ids.Outer) -> None:
        super().__init__(store, image, hardware.tree, Path(hardware.root), outer)
        self.account = container.account
        self._container = container

    def _nodes(self, layout: Layout) -> tuple[Node, ...]:
        uid, gid = self.image.uid, self.image.gid
        return (
            *super()._nodes(layout._replace(workdir="/")),
            *(
                [Node(f"{PLACE}/restored", 0o400, uid, gid, data=b"")]
                if layout.snapshot and not layout.template
                else []
            ),
            Node(PLACE, 0o700, uid, gid, folder=True),
            Node(DISKS, 0o755, folder=True),
            Node(SNAPSHOT, 0o755, folder=True),
            *(Node(f"{DISKS}/{n}", 0o600, data=b"") for n, _ in enumerate(layout.attached)),
            Node(f"{PLACE}/vmm", 0o400, uid, gid, data=b"".join(word.encode() + b"\0" for word in self._vmm(layout))),
            Node(f"{PLACE}/setup", 0o400, uid, gid, data=records.encode(self._setup(layout))),
        )

    def _vmm(self, layout: Layout) -> tuple[str, ...]:
        """The monitor's words, after what it has to have in its environment."""
        hardware = layout.hardware
        assert hardware
        wanted = guest.Guest(
            kernel=f"{IMAGE}/kernel",
            initramfs=f"{IMAGE}/initramfs",
            root=f"{IMAGE}/root.erofs",
            memory=hardware.memory,
            cpus=hardware.cpus,
            disks=tuple(guest.Disk(f"{DISKS}/{n}", serial=f"volume{n}") for n in range(len(layout.attached))),
            network="fd" if layout.plug else "none",
            mac=_mac(layout.plug) if layout.plug else "",
            hold=True,
            bus=hardware.bus,
            words=("oslet.from=initramfs",),
        )
        if layout.template:
            memory = f"{SNAPSHOT}/{snapshots.MEMORY}"
            return qemu.command(wanted, hardware.program, kvm=hardware.kvm, control=f"{PLACE}/qmp", memory=memory)
        if layout.cloned:
            memory, script = f"{SNAPSHOT}/{snapshots.MEMORY}", f"{SNAPSHOT}/{snapshots.SCRIPT}"
            return qemu.clone(wanted, hardware.program, kvm=hardware.kvm, memory=memory, script=script)
        if hardware.vmm == "uml":
            return (*(f"{name}={value}" for name, value in uml.ENVIRONMENT), *uml.command(wanted))
        return qemu.command(wanted, hardware.program, kvm=hardware.kvm)

    def _setup(self, layout: Layout) -> Boot:
        plug, image = layout.plug, self.image
        owners = [self._container.owner(volume.path) for volume in layout.attached]
        return Boot(
            user=User(image.uid, image.gid, self._groups, mask(layout.capabilities)),
            identity=replace(_identity(plug), mac=""),
            disks=tuple(
                Disk(_device(n, layout), volume.path, owner=owner)
                for n, (volume, owner) in enumerate(zip(layout.attached, owners, strict=True))
            ),
            warm=None if layout.cloned else self._warm(layout),
            env=self._warmed(layout),
        )

    def _warm(self, layout: Layout) -> Warm | None:
        """The Python that a guest has while it waits."""
        return Warm((*layout.warm, "-"), native.source("warm.py")) if layout.warm else None

    def _warmed(self, layout: Layout) -> dict[str, str]:
        start = self.image.start
        modules = {"_OSLET_WARM": " ".join(start.warm.modules)}
        return {**dict(self.environment(start.env)), **modules} if layout.warm else {}

    def told(self, asked: Asked, hostname: str, slot: Slot) -> tuple[Node, ...]:
        """One boot record: the rendered files are the guest's."""
        uid, gid, plug = self.image.uid, self.image.gid, slot.plug
        names = {"/etc/hosts": placing.hosts(hostname, asked.network), "/etc/hostname": f"{hostname}\n".encode()}
        resolver = plug.resolv.encode() if plug else b""
        files = [GuestFile(path, data) for path, data in {**names, "/etc/resolv.conf": resolver}.items()]
        secret = {file.path for file in asked.rendered if isinstance(file.content, SecretFile)}
        for node in self._container.told(asked, hostname, slot):
            made = GuestFile(node.path, node.data or b"", node.mode, node.uid, node.gid, secret=node.path in secret)
            files.append(made)
        start = Boot(
            workdir=asked.contract.workdir,
            identity=replace(_identity(plug if slot.waits else None), hostname=hostname, seed=os.urandom(_SEED)),
            files=tuple(files),
            read_only=asked.layout.read_only,  # once these files are in place
        )
        return (Node(f"{PLACE}/start", 0o400, uid, gid, data=records.encode(start)),)

    def waiting(self, layout: Layout, *, parked: bool) -> Launch | None:
        """A guest that waits: worth its memory only where somebody asked for it."""
        return Launch((SHIM, PLACE), (), "/", lock=self.lock(layout)) if parked else None

    def becoming(self, asked: Asked, *, waits: bool) -> Launch:
        words = () if waits else (SHIM, PLACE, "--")
        return Launch((*words, *asked.command), (), "/", lock=self.lock(asked.layout))

    def lock(self, layout: Layout) -> bytes:
        """The monitor may write where its slot has something for it."""
        files = [f"{DISKS}/{n}" for n in range(len(layout.attached))]
        return landlock.pack(landlock.rules((), (PLACE, SNAPSHOT), files, read_only=False))

    def _attach(self, place: Path, number: int, volume: Volume, layout: Layout) -> None:
        """One volume as a disk: a file in the volume's folder, or, of a clone, on the instance's own tmpfs."""
        file = _disk(place, number, volume)
        if not file.exists():
            self._make(file, volume, layout)
        opened = os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            placing.own(opened, self.image.uid, self.image.gid, self.mapping)
        finally:
            os.close(opened)

    def _make(self, file: Path, volume: Volume, layout: Layout) -> None:
        """A disk with what the volume's folder has, or what it is to begin as."""
        of = volume.host if isinstance(volume.host, Path) else Path(volume.host.of) if volume.host.of else None
        if of and of.is_dir() and (of / disks.FILE).exists():
            copying.copy_file(of / disks.FILE, file)
            return
        if of is None or not of.is_dir() or not any(of.iterdir()):
            of = volume.first
        container, owner = self._container, self._container.owner(volume.path)
        image = disks.of_image(container.index, container.root, volume.path, owner)
        content = disks.of_folder(of, self.mapping) if of else image
        assert layout.hardware
        disks.disk(file, Path(layout.hardware.mke2fs), content, owner=owner)

    def _bound(self, layout: Layout, place: Path) -> list[tuple[str, str]]:
        disks = [(str(_disk(place, n, volume)), f"{DISKS}/{n}") for n, volume in enumerate(layout.attached)]
        return [*disks, *([(layout.snapshot, SNAPSHOT)] if layout.template else [])]

    def config(self, layout: Layout, number: str) -> dict[str, Any]:
        """The sandbox's root is the monitor's to write to; what of a guest's is read-only its init sees to."""
        return super().config(layout._replace(read_only=False), number)

    def _filters(self, layout: Layout) -> dict[str, Any]:
        """User-mode Linux is its processes' tracer."""
        return config.seccomp(("ptrace", "personality") if layout.hardware and layout.hardware.vmm == "uml" else ())

    def _lent(self, layout: Layout) -> list[tuple[str, str]]:
        hardware = layout.hardware
        assert hardware
        device = [("/dev/kvm", "/dev/kvm")] if hardware.kvm else []
        if layout.cloned:
            device.append((layout.snapshot, SNAPSHOT))
        return [(hardware.sealed, IMAGE), (str(native.program("shim")), SHIM), *device]


def mask(capabilities: Sequence[str]) -> int:
    """Capabilities as bits."""
    return sum(1 << _CAPABILITIES.index(name.removeprefix("CAP_")) for name in capabilities)


def _identity(plug: Plug | None) -> Identity:
    """Who a guest is on its network: a clone begins as somebody else."""
    if plug is None:
        return Identity()
    return Identity(address=f"{plug.address}/32", gateway=plug.gateway, mac=_mac(plug), clock=time.time_ns())


def _device(number: int, layout: Layout) -> str:
    """How the guest finds a volume. User-mode Linux's disks have no serial numbers; its first one is the root."""
    uml = layout.hardware and layout.hardware.vmm == "uml"
    return f"/dev/ubd{chr(ord('b') + number)}" if uml else f"serial:volume{number}"


def _disk(place: Path, number: int, volume: Volume) -> Path:
    """Where a volume's disk is."""
    return volume.host / disks.FILE if isinstance(volume.host, Path) else place / f"disk{number}"


def _mac(plug: Plug) -> str:
    """The address of its cable's end, which the switch knows it by."""
    return ":".join(f"{byte:02x}" for byte in bared.mac(plug.address))
