"""Real guests: the shim with a real VMM in a plain folder, and a root of Debian's static busybox in the initramfs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import pytest

from oslet.formats import boot
from oslet.model.boot import Boot
from oslet.run import native

from ..monitors import Monitors

Vmm: TypeAlias = Literal["qemu", "uml"]
VMMS: tuple[Vmm, ...] = ("uml", "qemu")
USUAL = VMMS if os.environ.get("OSLET_TEST_VMMS") == "all" else VMMS[:1]
BOTH = pytest.mark.parametrize("vmm", VMMS)
_APPLETS = (
    "sh cat echo ls sleep id env ifconfig route ps hostname stty tty head wc touch mount kill date test stat dd "
    "grep true sort"
)


class Entry(NamedTuple):
    """One path of an initramfs: its mode with the file type, and a file's bytes or a link's target."""

    path: str
    mode: int
    data: bytes = b""


def cpio(*entries: Entry) -> bytes:
    """A newc archive (initramfs buffer format), which another may follow."""
    made = b""
    for number, each in enumerate((*entries, Entry("TRAILER!!!", 0)), 1):
        name = each.path.encode() + b"\0"
        fields = (number, each.mode, 0, 0, 1, 0, len(each.data), 0, 0, 0, 0, len(name), 0)
        made += b"070701" + b"".join(b"%08x" % field for field in fields) + name
        made += bytes(-len(made) % 4) + each.data
        made += bytes(-len(made) % 4)
    return made + bytes(-len(made) % 512)


class Guest:
    """A place for the shim: the VMM's words, and what the guest is told."""

    def __init__(self, folder: Path, vmm: Vmm, monitors: Monitors, busybox: Path) -> None:
        self.place = folder / "run"
        self.place.mkdir()
        self.vmm = vmm
        self._monitors, self._busybox = monitors, busybox
        self.words: list[str] = []  # of the kernel's command line
        self.options: list[str] = []  # of the VMM
        self.extra: list[bytes] = []  # archives behind the initramfs
        self._disks = 0
        self.agent = True

    def disk(self, data: bytes, *, read_only: bool = False) -> str:
        """One more disk; how the guest calls it."""
        path = self.place / f"disk{self._disks}"
        path.write_bytes(data + bytes(-len(data) % 512))
        if self.vmm == "uml":
            self.options.append(f"ubd{self._disks}{'r' if read_only else ''}={path}")
        else:
            drive = f"if=none,id=d{self._disks},file={path},format=raw,readonly={'on' if read_only else 'off'}"
            self.options += [
                "-drive",
                drive,
                "-device",
                f"virtio-blk-device,drive=d{self._disks},serial=disk{self._disks}",
            ]
        self._disks += 1
        # the last device on the command line is the first that a microvm's kernel finds
        return f"/dev/ubd{'abcdef'[self._disks - 1]}" if self.vmm == "uml" else f"serial:disk{self._disks - 1}"

    def tell(self, name: Literal["setup", "start"], told: Boot) -> None:
        (self.place / name).write_bytes(boot.encode(told))

    def write(self) -> None:
        init = native.program("init").read_bytes()
        root = [Entry("init", 0o100755, init), Entry("bin", 0o40755), Entry("etc", 0o40755)]
        root += [Entry("bin/busybox", 0o100755, self._busybox.read_bytes())]
        root += [Entry(f"bin/{name}", 0o120777, b"busybox") for name in _APPLETS.split()]
        initrd = self.place / "initramfs"
        initrd.write_bytes(b"".join([cpio(*root), *self.extra]))
        words = ["quiet", "panic=-1", *(["oslet.hold"] if self.agent else []), *self.words]
        if self.vmm == "uml":
            argv = [
                "GLIBC_TUNABLES=glibc.pthread.rseq=0",
                str(self._monitors.uml),
                "mem=96M",
                f"initrd={initrd}",
                *self.options,
            ]
            argv += ["con0=null,fd:1", "con=null", "ssl=null", f"uml_dir={self.place}", *words]
            argv += ["ssl0=fd:5", "oslet.agent=/dev/ttyS0"] if self.agent else []
        else:
            words += ["console=ttyS0", "reboot=t", "nolapic_timer", "lpj=1500000", "no_timer_check"]
            words += ["oslet.agent=/dev/vport0p1"] if self.agent else []
            argv = [
                str(self._monitors.qemu),
                "-M",
                "microvm,acpi=off,rtc=on,pit=on,pic=on,isa-serial=on",
                "-accel",
                "tcg",
            ]
            argv += ["-cpu", "max", "-m", "128M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
            argv += ["-serial", "stdio", "-kernel", str(self._monitors.vmlinux), "-initrd", str(initrd), *self.options]
            if self.agent:
                argv += ["-device", "virtio-serial-device", "-chardev", "socket,id=agent,fd=5"]
                argv += ["-device", "virtserialport,chardev=agent,name=org.oslet.agent"]
            argv += ["-append", " ".join(words)]
        (self.place / "vmm").write_bytes(b"".join(os.fsencode(word) + b"\0" for word in argv))

    def run(
        self, *argv: str, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """The application, to its end."""
        self.write()
        command = [str(native.program("shim")), str(self.place), "--", *argv]
        return subprocess.run(command, input=stdin, capture_output=True, env=env or {"PATH": "/bin"}, timeout=60)

    @contextmanager
    def running(self, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
        """The application, once the guest's shim can be asked for more; ended with this block."""
        self.write()
        command = [str(native.program("shim")), str(self.place), "--", *argv]
        shim = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": "/bin"}
        )
        try:
            deadline = time.monotonic() + 30
            while not (self.place / "agent").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            yield shim
        finally:
            shim.kill()  # and the VMM with it: PR_SET_PDEATHSIG
            shim.communicate(timeout=30)

    def ask(
        self, verb: str, *words: str, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """One more command in the running guest."""
        command = [str(native.program("shim")), verb, str(self.place / "agent"), *words]
        return subprocess.run(command, input=stdin, capture_output=True, env=env or {"PATH": "/bin"}, timeout=60)
