"""Firecracker's API calls for a guest, and the same as a file for its command line.

Source: src/firecracker/swagger/firecracker.yaml of Firecracker 1.12. It needs KVM. A network
is a tap device that stands in its namespace already; devices are found by the order in which they are told.
"""

from __future__ import annotations

from typing import Any

from oslet.errors import RunError
from oslet.run.machine.guest import TAP, VSOCK, Guest, check, command_line, mebibytes
from oslet.run.machine.rest import Call

_OWN = ("reboot=k", "pci=off", "i8042.noaux", "i8042.nomux")
_MOST_CPUS = 32


def command(program: str, config: str) -> tuple[str, ...]:
    """The words that start a guest whose ``config`` is in that file."""
    return program, "--no-api", "--config-file", config


def config(guest: Guest) -> dict[str, Any]:
    """What the file for ``--config-file`` says: the calls' bodies, by their resources."""
    whole: dict[str, Any] = {"drives": [], "network-interfaces": []}
    for call in _set_up(guest):
        kind, _, one = call.path[1:].partition("/")
        if one:
            whole[kind].append(call.body)
        else:
            whole[kind] = call.body
    return whole


def calls(guest: Guest) -> tuple[Call, ...]:
    """The calls that set the guest up and start it, in their order. RunError for one that it can't be."""
    return (*_set_up(guest), Call("/actions", {"action_type": "InstanceStart"}))


def _set_up(guest: Guest) -> tuple[Call, ...]:
    check(guest)
    if guest.cpus > _MOST_CPUS or guest.network == "user" or guest.record or guest.bus == "pci":
        raise RunError("Firecracker has no such machine", hint="use --vmm qemu")
    line = command_line(guest, "ttyS0", "vsock:1024", "/dev/vda", *_OWN)
    source = {"kernel_image_path": guest.kernel, "boot_args": line}
    if guest.initramfs:
        source["initrd_path"] = guest.initramfs
    size = {"vcpu_count": guest.cpus, "mem_size_mib": mebibytes(guest.memory), "smt": False}
    disks = [("root", guest.root, True)] if guest.root else []
    disks += [(f"disk{n}", disk.path, disk.read_only) for n, disk in enumerate(guest.disks)]
    found = [Call("/boot-source", source), Call("/machine-config", size)]
    found += [Call(f"/drives/{name}", _drive(name, path, shut)) for name, path, shut in disks]
    if guest.network == "fd":
        link = {"iface_id": "eth0", "host_dev_name": TAP} | ({"guest_mac": guest.mac} if guest.mac else {})
        found.append(Call("/network-interfaces/eth0", link))
    if guest.agent:
        found.append(Call("/vsock", {"guest_cid": 3, "uds_path": VSOCK}))
    return (*found, Call("/entropy", {}))


def _drive(name: str, path: str, read_only: bool) -> dict[str, Any]:
    return {"drive_id": name, "path_on_host": path, "is_root_device": False, "is_read_only": read_only}
