"""Cloud Hypervisor's API calls for a guest.

Source: vmm/src/api/openapi/cloud-hypervisor.yaml of Cloud Hypervisor 45. It needs KVM, and a guest's kernel that has
PCI; a network is a tap device that stands in its namespace already.
"""

from __future__ import annotations

from typing import Any

from oslet.errors import RunError
from oslet.run.machine.guest import MIB, TAP, VSOCK, Guest, check, command_line, mebibytes
from oslet.run.machine.rest import Call

_API = "/api/v1/"


def command(program: str, control: str) -> tuple[str, ...]:
    """The words that start it, to wait for calls at the socket ``control``."""
    return program, "--api-socket", f"path={control}"


def calls(guest: Guest) -> tuple[Call, ...]:
    """The calls that make the machine and start it. RunError for one that it can't be."""
    return Call(f"{_API}vm.create", config(guest)), Call(f"{_API}vm.boot")


def config(guest: Guest) -> dict[str, Any]:
    """The machine: ``VmConfig``."""
    check(guest)
    if guest.network == "user" or guest.record:
        raise RunError("Cloud Hypervisor has no such machine", hint="use --vmm qemu")
    payload = {"kernel": guest.kernel, "cmdline": command_line(guest, "ttyS0", "vsock:1024", "/dev/vda")}
    if guest.initramfs:
        payload["initramfs"] = guest.initramfs
    disks = [{"path": guest.root, "readonly": True, "serial": "root"}] if guest.root else []
    disks += [_disk(disk.path, disk.read_only, disk.serial or f"disk{n}") for n, disk in enumerate(guest.disks)]
    whole: dict[str, Any] = {
        "payload": payload,
        "cpus": {"boot_vcpus": guest.cpus, "max_vcpus": guest.cpus},
        "memory": {"size": mebibytes(guest.memory) * MIB},
        "disks": disks,
        "rng": {"src": "/dev/urandom"},
        "serial": {"mode": "Tty"},
        "console": {"mode": "Off"},
    }
    if guest.network == "fd":
        whole["net"] = [{"tap": TAP} | ({"mac": guest.mac} if guest.mac else {})]
    if guest.agent:
        whole["vsock"] = {"cid": 3, "socket": VSOCK}
    return whole


def _disk(path: str, read_only: bool, serial: str) -> dict[str, Any]:
    return {"path": path, "readonly": read_only, "serial": serial}
