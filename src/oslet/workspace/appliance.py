"""An image as a folder that QEMU, Firecracker or any monitor of its kind starts: kernel, roots, volumes, and how."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from oslet.bind import interpolate
from oslet.build.bound import Bound, bound, export_arguments
from oslet.build.machine.seal import INITRAMFS, ROOT, Core
from oslet.codec import canonical
from oslet.errors import BuildError
from oslet.formats import boot as records
from oslet.model.boot import Disk
from oslet.model.image import Built
from oslet.model.param import Param
from oslet.run.machine import firecracker, qemu
from oslet.run.machine import guest as guests
from oslet.workspace import machines
from oslet.workspace.kernels import Made, kernel

if TYPE_CHECKING:
    from oslet.model.oslet import Kernel as Choice
    from oslet.workspace import Workspace

Form: TypeAlias = Literal["disk", "initramfs"]
KERNEL, ELF = "bzImage", "vmlinux"
SCRIPT, FIRECRACKER, MANIFEST, README = "run-qemu.sh", "firecracker.json", "machine.json", "README.md"
_LOW = 1024
"""Ports below belong to root."""


class Manifest(Struct, frozen=True, rename="kebab"):
    """What a folder holds. ``values`` are those of params in the boot record, as text; ``secrets`` is where the
    application reads each; ``files`` are named with their sha256, but for volumes, which change."""

    format: int
    name: str
    image: str
    kernel: str
    kernel_key: str
    form: Form
    command_line: str
    memory: int
    address: str
    ports: tuple[str, ...]
    volumes: dict[str, str]
    params: tuple[Param, ...]
    values: dict[str, str]
    secrets: dict[str, str]
    files: dict[str, str]


class _Plan(NamedTuple):
    """What is to be written, once."""

    built: Built
    contract: Bound
    given: Mapping[str, Any]
    made: Made
    form: Form
    disks: tuple[Disk, ...]
    guest: guests.Guest


def export_microvm(
    workspace: Workspace,
    built: Built,
    folder: Path,
    *,
    choice: Choice | None = None,
    given: Mapping[str, Any] = {},
    form: Form = "disk",
    volume: int = 1 << 30,
) -> Manifest:
    """Write the folder, which must not exist or be empty; it appears whole. ``volume`` is the size of each volume's
    disk in bytes. Equal images, kernels and values give equal files. BuildError, DeclarationError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BuildError("something stands there already", where=str(folder), hint="name a new folder")
    contract = bound(built.image, export_arguments(built.image, given) if given else None)
    plan = _plan(built, contract, given, kernel(workspace, built, choice), form)
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        new.mkdir(mode=0o755)
        _fill(workspace, plan, new, volume)
        manifest = _manifest(plan, new)
        (new / MANIFEST).write_bytes(msgspec.json.format(canonical(manifest), indent=2) + b"\n")
        for file in new.iterdir():
            file.chmod(0o755 if file.name == SCRIPT else 0o644)
        new.chmod(0o755)
        new.replace(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    return manifest


def _plan(built: Built, contract: Bound, given: Mapping[str, Any], made: Made, form: Form) -> _Plan:
    start = contract.start
    disks = tuple(
        Disk(f"serial:volume{n}", path, owner=(built.image.uid, built.image.gid))
        for n, path in enumerate(start.volumes)
    )
    distributed = made.kernel.name == "distribution"
    guest = guests.Guest(
        kernel=KERNEL if distributed else ELF,  # which needs no unpacking
        initramfs=INITRAMFS,
        root=ROOT if form == "disk" else "",
        memory=start.machine.memory,
        disks=tuple(guests.Disk(f"volume{n}.ext4", serial=f"volume{n}") for n in range(len(disks))),
        network="none" if start.network == "none" else "user",
        forwards=tuple(_forwards(start.ports)),
        agent=False,
        bus="pci" if distributed else "mmio",
    )
    return _Plan(built, contract, given, made, form, disks, guest)


def _forwards(ports: tuple[str, ...]) -> list[guests.Forward]:
    """Each port at the host's loopback; one that is root's is 8000 higher."""
    found = []
    for port in ports:
        number, _, protocol = port.partition("/")
        inner = int(number)
        outer = inner if inner >= _LOW else inner + 8000
        found.append(guests.Forward("127.0.0.1", outer, inner, "udp" if protocol == "udp" else "tcp"))
    return found


def _fill(workspace: Workspace, plan: _Plan, folder: Path, volume: int) -> None:
    image, made = plan.built.image, plan.made
    shutil.copyfile(made.folder / KERNEL, folder / KERNEL)
    if (made.folder / ELF).is_file():
        shutil.copyfile(made.folder / ELF, folder / ELF)
    boot = records.encode(machines.standing(workspace, image, plan.contract, plan.disks))
    workspace.progress("sealing the root", 0, 0)
    if plan.form == "disk":
        core = Core(made.key, made.folder / KERNEL, made.modules)
        compression = machines.smallest(made)
        sealed = machines.sealed_machine(workspace, image, core, boot=boot, compression=compression)
        for name in (INITRAMFS, ROOT):
            shutil.copyfile(sealed / name, folder / name)
    else:
        from oslet.build.machine.whole import Packing, whole
        from oslet.run.native import program

        init = program("init").read_bytes()
        packing: Packing = "xz" if machines.has(made, "RD_XZ", "XZ_DEC_X86") else "gzip"
        data = whole(workspace.tree(image), workspace.store, init, made.modules, boot, packing)
        (folder / INITRAMFS).write_bytes(data)
    _volumes(workspace, plan, folder, volume)
    (folder / SCRIPT).write_text(_script(plan))
    if ELF in os.listdir(folder):
        (folder / FIRECRACKER).write_bytes(msgspec.json.format(canonical(_firecracker(plan)), indent=2) + b"\n")
    (folder / README).write_text(_readme(plan))


def _volumes(workspace: Workspace, plan: _Plan, folder: Path, size: int) -> None:
    if not plan.disks:
        return
    from oslet.build.machine.erofs import uuid
    from oslet.run.machine.disks import disk, of_image
    from oslet.run.placing import Index

    image = plan.built.image
    index, root = Index.of(workspace.tree(image).entries), workspace.store.rootfs(image)
    mke2fs = machines.tool(workspace, "e2fsprogs")
    for told, drive in zip(plan.disks, plan.guest.disks):
        content = of_image(index, root, told.path, (image.uid, image.gid))
        name = uuid(f"{plan.built.digest} {told.path}")
        disk(folder / drive.path, mke2fs, content, size=size, name=drive.serial, uuid=name)


def _script(plan: _Plan) -> str:
    """A script that says with which words QEMU starts it: they differ with the accelerator."""
    with_kvm, without = (
        shlex.join(qemu.command(plan.guest, "qemu-system-x86_64", kvm=kvm)).replace("'\\''", "'")
        for kvm in (True, False)
    )
    return f"""\
#!/bin/sh
# run-qemu.sh [kvm] [OPTIONS OF QEMU…]: starts this machine, without KVM unless told otherwise.
set -eu
cd "$(dirname "$0")"
if [ "${{1:-}}" = kvm ]; then
  shift
  exec {with_kvm} "$@"
fi
cpu=max # but for what an emulator does byte by byte, as far as this one knows of it
known=$(qemu-system-x86_64 -cpu help)
for flag in {" ".join(qemu.SLOW)}; do
  ! echo "$known" | grep -qw "$flag" || cpu=$cpu,-$flag
done
exec {without.replace(qemu.EMULATED, '"$cpu"')} "$@"
"""


def _firecracker(plan: _Plan) -> dict[str, Any]:
    network: guests.Network = "none" if plan.guest.network == "none" else "fd"
    guest = plan.guest._replace(kernel=ELF, network=network, forwards=(), bus="mmio")
    return firecracker.config(guest)


def _manifest(plan: _Plan, folder: Path) -> Manifest:
    from oslet.store.contents import hash_file

    image, start = plan.built.image, plan.contract.start
    known = export_arguments(image, plan.given)
    return Manifest(
        format=1,
        name=image.name,
        image=plan.built.digest,
        kernel=plan.made.release,
        kernel_key=plan.made.key,
        form=plan.form,
        command_line=guests.command_line(plan.guest, "ttyS0", "", "/dev/vda"),
        memory=start.machine.memory,
        address=machines.ADDRESS if plan.guest.network != "none" else "",
        ports=start.ports,
        volumes={told.path: drive.path for told, drive in zip(plan.disks, plan.guest.disks)},
        params=image.params,
        values={name: interpolate(f"{{{name}}}", known) for name in known.values},
        secrets={param: path for path, param in plan.contract.secrets},
        files={path.name: hash_file(path) for path in sorted(folder.iterdir()) if not path.name.startswith("volume")},
    )


def _readme(plan: _Plan) -> str:
    ports = "".join(f"- 127.0.0.1:{f.outer} leads to port {f.inner}\n" for f in plan.guest.forwards)
    seed = f"oslet seed {plan.built.image.name} --as initramfs --PARAM VALUE -o seed.cpio"
    return (
        f"# {plan.built.image.name}, a virtual machine\n\n"
        f"    ./run-qemu.sh        # anywhere; ./run-qemu.sh kvm where there is KVM\n\n{ports}\n"
        "`firecracker --no-api --config-file firecracker.json` starts it on a tap device tap0 that has 10.0.2.2/24.\n"
        f"The guest is {machines.ADDRESS}.\n\n"
        "`machine.json` says what it is made of, and which params it has. Other values for them, and secrets:\n\n"
        f"    {seed}\n    cat initramfs seed.cpio > other && ./run-qemu.sh -initrd other\n"
    )
