"""Which virtual machine monitor a guest gets."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Literal

from oslet.errors import RunError
from oslet.run.asking import Vmm
from oslet.run.machine.kvm import Kvm

_OWN: tuple[Vmm, ...] = ("qemu", "uml")
"""Those that oslet gets itself; the others aren't in Debian."""
_NEED: tuple[Vmm, ...] = ("firecracker", "cloud-hypervisor")
"""Those that run nothing without KVM."""


def choose(
    wanted: Vmm | Literal["auto"], kvm: Callable[[], Kvm], found: Callable[[str], str | None] = shutil.which
) -> Vmm:
    """The one ``wanted``, or the quickest that there can be: QEMU with KVM, else user-mode Linux. RunError for one that
    isn't there, or can't run here. ``kvm`` is asked only if the answer matters."""
    if wanted == "auto":
        return "qemu" if kvm().works else "uml"
    if wanted not in _OWN and not found(wanted):
        raise RunError(
            f"this machine has no {wanted}",
            where="--vmm",
            hint="install it, or leave --vmm out",
        )
    if wanted in _NEED and not (answer := kvm()).works:
        raise RunError(
            f"{wanted} needs KVM, and there is none: {answer.why}",
            where="--vmm",
            hint="--vmm uml and --vmm qemu do without",
        )
    return wanted
