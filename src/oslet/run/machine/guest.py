"""A guest as a value: what every virtual machine monitor is told of one machine, in its own words."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from oslet.errors import RunError

CABLE, AGENT = 4, 5
"""Descriptors that a monitor inherits: one end of the network's cable, and of the agent's stream."""

VSOCK, TAP = "/oslet/run/vsock", "tap0"
"""What those without such descriptors have in their place: a socket whose guest connects to the host's port 1024, and a
link in their network namespace."""

PORT = "org.oslet.agent"
RECORD = "opt/org.oslet/boot"
"""Names that a guest finds its agent's stream and its boot record by."""

MIB = 1 << 20
MOST_DISKS = 16
MOST_WORDS = 2047
"""Bytes of a kernel's command line on x86: COMMAND_LINE_SIZE less its end."""

Network: TypeAlias = Literal["none", "fd", "user"]
"""What is at the other end of the guest's cable: nothing; whoever holds the other end of descriptor 4, a socket of
datagrams, one frame each; or the monitor itself, which forwards ports."""

Bus: TypeAlias = Literal["mmio", "pci"]
"""How a kernel finds its devices. Kernels made for machines like these need no PCI; a distribution's does."""


class Disk(NamedTuple):
    """A disk from a file that holds its bytes as they are. ``serial`` is what the guest knows it by, 20 at most."""

    path: str
    read_only: bool = False
    serial: str = ""


class Forward(NamedTuple):
    """A port of the machine's, at ``host``, that leads to one of the guest's."""

    host: str
    outer: int
    inner: int
    protocol: Literal["tcp", "udp"] = "tcp"


class Guest(NamedTuple):
    """One machine. Paths are the monitor's, ``memory`` is bytes; ``root`` is a disk with the root's file system, and
    without it the initramfs is the root. ``words`` end the kernel's command line; no secret may be in it."""

    kernel: str
    initramfs: str = ""
    root: str = ""
    memory: int = 64 * MIB
    cpus: int = 1
    disks: tuple[Disk, ...] = ()
    network: Network = "none"
    mac: str = ""
    forwards: tuple[Forward, ...] = ()
    agent: bool = True
    hold: bool = False
    record: str = ""
    words: tuple[str, ...] = ()
    bus: Bus = "mmio"


def check(guest: Guest) -> None:
    """RunError for what no monitor could take."""
    if guest.memory < MIB or not 1 <= guest.cpus <= 64:
        raise RunError(f"a machine can't have {guest.memory} bytes of memory and {guest.cpus} processors")
    if len(guest.disks) > MOST_DISKS:
        raise RunError(f"a machine has {MOST_DISKS} disks at most, this one would have {len(guest.disks)}")
    for word in guest.words:
        if not word.isprintable() or not word.isascii() or " " in word:
            raise RunError(f"a word of the kernel's command line is none: {ascii(word)[:80]}")


def command_line(guest: Guest, console: str, agent: str, root: str, *own: str) -> str:
    """The kernel's: ``own`` are a monitor's words, the rest is for the guest's init. RunError if it is too long."""
    words = [f"console={console}", "panic=-1", "quiet", *own]
    words += [f"oslet.root={root}"] if guest.root else []
    words += [f"oslet.agent={agent}"] if guest.agent else []
    words += ["oslet.hold"] if guest.hold else []
    line = " ".join([*words, *guest.words])
    if len(line) > MOST_WORDS:
        raise RunError(
            f"the kernel's command line would have {len(line)} bytes, and {MOST_WORDS} is all it takes",
            hint="give the guest what is long in a boot record of another kind, or in a file",
        )
    return line


def mebibytes(memory: int) -> int:
    """Whole MiB, rounded up."""
    return -(-memory // MIB)
