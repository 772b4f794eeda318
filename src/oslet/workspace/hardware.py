"""Hardware: what an image needs beside itself to start as a microVM. A monitor, a kernel, and both sealed with it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from oslet.build.machine.seal import INITRAMFS, KERNEL, Core
from oslet.errors import RunError
from oslet.model.kernel import Evidence
from oslet.model.source import Debian
from oslet.run.asking import Hardware
from oslet.run.machine import memory
from oslet.run.machine.choosing import choose
from oslet.run.machine.kvm import DEVICE, Kvm, kvm
from oslet.workspace.kernels import Made, kernel
from oslet.workspace.machines import sealed_machine, tool
from oslet.workspace.vmms import vmm

if TYPE_CHECKING:
    from oslet.model.image import Built
    from oslet.model.kernel import Target
    from oslet.run.asking import Wish
    from oslet.workspace import Workspace

_JOINED = ("qemu", "uml")
"""Those that a slot has been made for."""


def hardware(workspace: Workspace, built: Built, wish: Wish) -> Hardware:
    """What a start with this wish runs on; each part comes from the store or is made, which takes minutes for a kernel.
    RunError for a monitor that can't be had here."""
    answer = _Asked(workspace)
    name = choose(wish.microvm or "auto", answer)
    if name not in _JOINED:
        raise RunError(
            f"oslet run starts no guests in {name} yet",
            where="--vmm",
            hint="oslet export --microvm writes what it starts from; or leave --vmm out",
        )
    with_kvm = name != "uml" and answer().works
    target: Target = "uml" if name == "uml" else "microvm"
    made = kernel(workspace, built, wish.kernel, target, _also(wish), exact=False)
    monitor = vmm(name, workspace.store, workspace.progress, Debian())
    disks = built.image.start.volumes or wish.volumes
    sealed = sealed_machine(workspace, built.image, core(made, target))
    size = wish.limits.memory or built.image.start.machine.memory
    if target != "uml":
        memory.check(size, memory.least(sealed / KERNEL, sealed / INITRAMFS))
    return Hardware(
        vmm=name,
        tree=monitor.tree,
        root=str(monitor.root),
        program=monitor.program,
        sealed=str(sealed),
        memory=size,
        cpus=math.ceil(wish.limits.cpus or 1) if with_kvm else 1,
        kvm=with_kvm,
        bus="pci" if made.kernel.name == "distribution" else "mmio",
        mke2fs=str(tool(workspace, "e2fsprogs", "mke2fs")) if disks else "",
    )


def _also(wish: Wish) -> list[Evidence]:
    """What this start asks of the kernel, beside what the image does."""
    return [Evidence("volumes", f"{path} is given a volume") for path in wish.volumes]


def core(made: Made, target: Target) -> Core:
    """A kernel as its monitor boots it: user-mode Linux is a program, QEMU's microvm enters the ELF file by PVH."""
    if target == "uml":
        return Core(made.key, made.folder / "linux")
    image = "bzImage" if made.kernel.name == "distribution" else "vmlinux"
    return Core(made.key, made.folder / image, made.modules)


class _Asked:
    """KVM, asked when somebody wants to know, and once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._answer: Kvm | None = None

    def __call__(self) -> Kvm:
        if self._answer is None:
            self._answer = kvm(self._workspace.places.state)
            if self._answer.works and DEVICE.stat().st_mode & 0o006 != 0o006:  # a sandbox's user is in no group here
                self._answer = Kvm(False, f"{DEVICE} isn't open to all users (chmod 666)")
        return self._answer
