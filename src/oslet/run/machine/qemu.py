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
SLOW = ("erms", "fsrm", "fsrs")
"""A processor that says it moves strings of bytes quickly has kernels and C libraries do so, and QEMU's translator
moves them one by one. Measured: 16 MiB of zeros in 160 ms, and without it in 8; 15 MB through a pipe 408 and 44; a
fork 6.6 and 3."""
EMULATED = ",".join(("max", *(f"-{flag}" for flag in SLOW)))
_FW_CFG = "qemu_fw_cfg.ioport=12@0x510:0:1:4"
"""Where a guest without ACPI finds fw_cfg: drivers/firmware/qemu_fw_cfg.c."""


def command(guest: Guest, program: str, *, kvm: bool, control: str = "", memory: str = "") -> tuple[str, ...]:
    """The words that start it. ``control`` is the path of a socket for QMP; ``memory`` is a file that then is the
    guest's memory, for a snapshot of it. RunError if a guest can't be such."""
    line = command_line(guest, "ttyS0", "virtio", "/dev/vda", *_words(guest, kvm))
    return (
        *_machine(guest, program, kvm, f"mem-path={_value(memory)},share=on" if memory else ""),
        *("-kernel", guest.kernel, *(("-initrd", guest.initramfs) if guest.initramfs else ()), "-append", line),
        *devices(guest),
        *(("-qmp", f"unix:{_value(control)},server=on,wait=off") if control else ()),
    )


def clone(guest: Guest, program: str, *, kvm: bool, memory: str, script: str) -> tuple[str, ...]:
    """The words that start another one from where a snapshot of this very guest was: its ``memory`` is what the clone's
    begins as, ``script`` is a file with what QEMU is asked to do, since x-ignore-shared is no option of its command
    line. It takes neither a kernel nor its words: they are in memory."""
    begun = f"mem-path={_value(memory)},share=off,readonly=on,rom=off"
    return (
        *_machine(guest, program, kvm, begun),
        *devices(guest),
        *("-incoming", "defer", "-global", "migration.announce-rounds=0"),
        *("-chardev", f"file,id=script,path=/dev/null,input-path={_value(script)}", "-mon", "script,mode=control"),
    )


def _machine(guest: Guest, program: str, kvm: bool, memory: str) -> tuple[str, ...]:
    """The machine without what is in it; ``memory`` says of which file its memory is, if of any."""
    check(guest)
    machine = _MICROVM if guest.bus == "mmio" else _PC
    size = mebibytes(guest.memory)
    backend = ("-object", f"memory-backend-file,id=ram,size={size * MIB},{memory}") if memory else ()
    return (
        program,
        *("-M", f"{machine},memory-backend=ram" if memory else machine, *_processor(guest, kvm)),
        *("-m", f"{size}M", *backend),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-sandbox", _SANDBOX),
        *("-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"),
    )


def devices(guest: Guest) -> tuple[str, ...]:
    """The guest's virtio devices: what a clone has to have the same of as what it is a clone of."""
    kind = "device" if guest.bus == "mmio" else "pci"
    words = []
    if guest.agent:  # the first device: its number is in the name that the guest gives the port, vport0p1
        # of 31 ports each has two queues, and the guest 60 KB for each of those
        words += ["-device", f"virtio-serial-{kind},max_ports=2", "-chardev", f"socket,id=agent,fd={AGENT}"]
        words += ["-device", f"virtserialport,chardev=agent,name={PORT}"]
    words += ["-device", f"virtio-rng-{kind}"]
    disks = [(guest.root, True, "root")] if guest.root else []
    disks += [(disk.path, disk.read_only, disk.serial or f"disk{n}") for n, disk in enumerate(guest.disks)]
    for number, (path, read_only, serial) in enumerate(disks):
        shut, locked = ("on", "off") if read_only else ("off", "auto")  # many guests have one root
        words += [
            "-drive",
            f"id=d{number},if=none,format=raw,read-only={shut},file={_value(path)},file.locking={locked}",
        ]
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


def _processor(guest: Guest, kvm: bool) -> tuple[str, ...]:
    if kvm:
        return "-accel", "kvm", "-cpu", "host", "-smp", str(guest.cpus)
    return "-accel", "tcg,tb-size=64", "-cpu", EMULATED, "-smp", str(guest.cpus)


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
