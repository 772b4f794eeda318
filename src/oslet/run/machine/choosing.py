"""Which virtual machine monitor a guest gets."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from oslet.codec.nearest import nearest
from oslet.errors import RunError
from oslet.run.machine.kvm import Kvm

QEMU, UML, FIRECRACKER, CLOUD_HYPERVISOR = MONITORS = ("qemu", "uml", "firecracker", "cloud-hypervisor")
_OWN = (QEMU, UML)
"""Those that oslet gets itself; the others aren't in Debian."""
_NEED = (FIRECRACKER, CLOUD_HYPERVISOR)
"""Those that run nothing without KVM."""


def choose(wanted: str, kvm: Callable[[], Kvm], found: Callable[[str], str | None] = shutil.which) -> str:
    """The one ``wanted``, or the quickest that there can be: QEMU with KVM, else user-mode Linux. RunError for one that
    isn't known, isn't there, or can't run here. ``kvm`` is asked only if the answer matters."""
    if not wanted:
        return QEMU if kvm().works else UML
    if wanted not in MONITORS:
        raise RunError(
            f"there is no virtual machine monitor {wanted!r}",
            where="--microvm",
            hint=f"did you mean {near}?" if (near := nearest(wanted, MONITORS)) else f"there are {', '.join(MONITORS)}",
        )
    if wanted not in _OWN and not found(wanted):
        raise RunError(
            f"this machine has no {wanted}",
            where="--microvm",
            hint="install it, or leave the choice to --microvm alone",
        )
    if wanted in _NEED and not (answer := kvm()).works:
        raise RunError(
            f"{wanted} needs KVM, and there is none: {answer.why}",
            where="--microvm",
            hint="--microvm=uml and --microvm=qemu do without",
        )
    return wanted
