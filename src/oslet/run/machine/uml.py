"""User-mode Linux: the guest's kernel is a program of this machine, and the kernel's command line is its own.

Sources: Documentation/virt/uml/user_mode_linux_howto_v2.rst and arch/um/drivers of Linux 6.12.
"""

from __future__ import annotations

from oslet.errors import RunError
from oslet.run.machine.guest import AGENT, CABLE, Guest, check, command_line, mebibytes

ENVIRONMENT = (
    ("ADDR_NO_RANDOMIZE", "1"),
    ("GLIBC_TUNABLES", "glibc.pthread.rseq=0"),
    ("HOME", "/oslet/run"),
    ("ONE_PROCESSOR", "1"),
    ("TMPDIR", "/oslet/run"),
)
"""What it has to have: its stub unmaps the area that glibc registers for rseq(2), which kills it; its memory is a file
in a folder that programs may be run from; without a home it dies. Two are for the shim. Where the heap begins is at
random otherwise, and what lies between the program and that is taken for memory, up to a gigabyte of it. And its kernel
and the processes that it traces take turns: on one processor, Python starts in half the time that it takes on two."""

_UNCLOCKED = "lpj=10000000"
"""Loops in a tick: counting them takes it 100 ms, and what needs to know is hardware, which there is none of."""


def command(guest: Guest) -> tuple[str, ...]:
    """The words that start it. RunError for a guest that it can't be."""
    check(guest)
    if guest.cpus > 1:
        raise RunError(
            f"user-mode Linux has one processor, not {guest.cpus}", hint="leave out --cpus, or use --vmm qemu"
        )
    if guest.network == "user" or guest.bus == "pci" or guest.record:
        raise RunError("user-mode Linux has no such device", hint="use --vmm qemu")
    disks = [(guest.root, True)] if guest.root else []
    disks += [(disk.path, disk.read_only) for disk in guest.disks]
    words = [f"mem={mebibytes(guest.memory)}M", "con0=null,fd:1", "con=null"]
    words += [f"ssl0=fd:{AGENT}", "ssl=null"] if guest.agent else ["ssl=null"]
    words += [f"initrd={_value(guest.initramfs)}"] if guest.initramfs else []
    words += [f"ubd{n}{'r' if shut else ''}={_value(path)}" for n, (path, shut) in enumerate(disks)]
    if guest.network == "fd":
        mac = f",mac={guest.mac}" if guest.mac else ""
        words.append(f"vec0:transport=fd,fd={CABLE},depth=64{mac}")
    line = command_line(guest, "tty0", "/dev/ttyS0", "/dev/ubda", _UNCLOCKED)
    return (guest.kernel, *words, *line.split(" "))


def _value(path: str) -> str:
    """A path of the command line: commas and colons part a copy-on-write file from its backing file there."""
    if not path.isprintable() or set(path) & set(" ,:"):
        raise RunError(f"user-mode Linux can't be told of the path {ascii(path)[:200]}")
    return path
