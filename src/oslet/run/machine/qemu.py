"""QEMU's command line for a guest: its machine of virtio alone (``microvm``), or a PC for a distribution's kernel.

Sources: qemu(1); docs/system/i386/microvm.rst and docs/specs/fw_cfg.rst of QEMU 10.0.
"""

from __future__ import annotations

from oslet.errors import RunError
from oslet.run.machine.guest import AGENT, CABLE, MIB, PORT, RECORD, Guest, check, command_line, mebibytes

_MICROVM = "microvm,acpi=off,pic=on,pit=on,rtc=on,isa-serial=on,x-option-roms=off"
_PC = "pc,usb=off,vmport=off,hpet=off"
_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_UNCLOCKED = ("nolapic_timer", "no_timer_check", "lpj=1500000")
"""Without KVM the kernel would measure its clocks against an emulated one: 200 of 500 ms of a boot. These belong to the
monitor, never into an image: with KVM a guest is told its clock (kvmclock)."""
_FW_CFG = "qemu_fw_cfg.ioport=12@0x510:0:1:4"
"""Where a guest without ACPI finds fw_cfg: drivers/firmware/qemu_fw_cfg.c."""


def command(guest: Guest, program: str, *, kvm: bool, control: str = "", memory: str = "") -> tuple[str, ...]:
    """The words that start it. ``control`` is the path of a socket for QMP, ``memory`` a file for the guest's memory,
    which a snapshot of it then shares. RunError if a guest can't be such."""
    check(guest)
    return (
        program,
        *("-M", _machine(guest, memory), *_processor(guest, kvm), "-m", f"{mebibytes(guest.memory)}M"),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-sandbox", _SANDBOX),
        *_memory(guest, memory),
        *("-kernel", guest.kernel, *(("-initrd", guest.initramfs) if guest.initramfs else ())),
        *("-append", command_line(guest, "ttyS0", "virtio", "/dev/vda", *_words(guest, kvm))),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
        *devices(guest),
        *(("-qmp", f"unix:{_value(control)},server=on,wait=off") if control else ()),
    )


def devices(guest: Guest) -> tuple[str, ...]:
    """The guest's virtio devices: what a clone has to have the same of as what it is a clone of."""
    kind = "device" if guest.bus == "mmio" else "pci"
    words = ["-device", f"virtio-rng-{kind}"]
    if guest.agent:
        words += ["-device", f"virtio-serial-{kind}", "-chardev", f"socket,id=agent,fd={AGENT}"]
        words += ["-device", f"virtserialport,chardev=agent,name={PORT}"]
    disks = [(guest.root, True, "root")] if guest.root else []
    disks += [(disk.path, disk.read_only, disk.serial or f"disk{n}") for n, disk in enumerate(guest.disks)]
    for number, (path, read_only, serial) in enumerate(disks):
        shut = "on" if read_only else "off"
        words += ["-drive", f"id=d{number},if=none,format=raw,read-only={shut},file={_value(path)}"]
        words += ["-device", f"virtio-blk-{kind},drive=d{number},serial={_value(serial)}"]
    if guest.record:
        words += ["-fw_cfg", f"name={RECORD},file={_value(guest.record)}"]
    return (*words, *_network(guest, kind))


def _network(guest: Guest, kind: str) -> tuple[str, ...]:
    if guest.network == "none":
        return ()
    if guest.network == "fd":
        end = f"dgram,id=net,local.type=fd,local.str={CABLE}"
    else:
        ports = (f",hostfwd={f.protocol}:{f.host}:{f.outer}-:{f.inner}" for f in guest.forwards)
        end = "user,id=net" + "".join(ports)
    mac = f",mac={guest.mac}" if guest.mac else ""
    rom = ",romfile=" if kind == "pci" else ""
    return "-netdev", end, "-device", f"virtio-net-{kind},netdev=net{mac}{rom}"


def _machine(guest: Guest, memory: str) -> str:
    machine = _MICROVM if guest.bus == "mmio" else _PC
    return f"{machine},memory-backend=ram" if memory else machine


def _processor(guest: Guest, kvm: bool) -> tuple[str, ...]:
    if kvm:
        return "-accel", "kvm", "-cpu", "host", "-smp", str(guest.cpus)
    return "-accel", "tcg,tb-size=64", "-cpu", "max", "-smp", str(guest.cpus)


def _memory(guest: Guest, memory: str) -> tuple[str, ...]:
    if not memory:
        return ()
    size = mebibytes(guest.memory) * MIB
    return "-object", f"memory-backend-file,id=ram,size={size},mem-path={_value(memory)},share=on"


def _words(guest: Guest, kvm: bool) -> tuple[str, ...]:
    clocks = () if kvm else _UNCLOCKED
    port = (_FW_CFG,) if guest.record and guest.bus == "mmio" else ()
    end = ("reboot=t",) if guest.bus == "mmio" else ()
    return (*end, *clocks, *port)


def _value(text: str) -> str:
    """A value within QEMU's options, where a comma is written twice."""
    if not text.isprintable():
        raise RunError(f"QEMU can't be told of {ascii(text)[:200]}")
    return text.replace(",", ",,")
