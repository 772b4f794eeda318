"""An image as a disk that a machine with UEFI starts, virtual or not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from oslet.build.bound import bound, export_arguments
from oslet.build.machine import disk as disks
from oslet.build.machine import erofs
from oslet.build.machine.initramfs import initramfs
from oslet.errors import BuildError
from oslet.formats import boot as records
from oslet.formats.verity import table
from oslet.model.boot import Disk
from oslet.model.image import Built
from oslet.model.oslet import Wants
from oslet.model.source import Debian
from oslet.workspace import machines
from oslet.workspace.kernels import Made, kernel

if TYPE_CHECKING:
    from oslet.model.kernel import Target
    from oslet.model.oslet import Kernel as Choice
    from oslet.workspace import Workspace

Format: TypeAlias = Literal["raw", "qcow2", "vmdk"]
FORMATS: tuple[Format, ...] = ("raw", "qcow2", "vmdk")
_STUB = ("systemd-boot-efi", "/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
_NAME = 36
"""Characters of a partition's name."""


class Bootable(NamedTuple):
    """A disk: the release of its kernel, its root's hash, and whether the kernel checks each block by it."""

    file: Path
    kernel: str
    root_hash: str
    verified: bool


def export_disk(
    workspace: Workspace,
    built: Built,
    file: Path,
    *,
    form: Format = "raw",
    choice: Choice | None = None,
    given: Mapping[str, Any] = {},
    volume: int = 1 << 30,
) -> Bootable:
    """Write the disk, which appears whole; ``volume`` is the size of each volume's partition in bytes. Equal images,
    kernels and values give equal disks. BuildError, DeclarationError."""
    if file.exists():
        raise BuildError("something stands there already", where=str(file), hint="name a new file")
    image = built.image
    contract = bound(image, export_arguments(image, given) if given else None)
    made = kernel(workspace, built, choice, _target(choice or image.start.machine.kernel))
    names = [_named(image.name, f"data{n}") for n in range(len(contract.start.volumes))]
    owner = (image.uid, image.gid)
    mounts = tuple(Disk(f"partname:{name}", path, owner=owner) for name, path in zip(names, contract.start.volumes))
    boot = records.encode(machines.standing(workspace, image, contract, mounts))
    mkfs = machines.tool(workspace, "erofs-utils")
    root = erofs.root(image.tree, workspace.store, mkfs, machines.smallest(made))
    filled = disks.slot(_named(image.name, built.digest[:12]), root, built.digest)
    loader = _loader(workspace, made, filled, boot)
    file.parent.mkdir(parents=True, exist_ok=True)
    with workspace.store.scratch() as folder:
        data = _data(workspace, built, folder, dict(zip(names, contract.start.volumes)), volume)
        new = folder / "disk"
        workspace.progress("writing the disk", 0, 0)
        disks.assemble(new, built.digest, loader, filled, data, _tools(workspace))
        _deliver(workspace, new, file, form, built.digest)
    return Bootable(file, made.release, filled.tree.root.hex(), _checks(made))


def _target(choice: Choice) -> Target:
    """Debian's kernel for virtual machines lacks network devices that a machine's own has: it is asked for virtio's."""
    return "microvm" if choice == "distribution" else "machine"


def _named(name: str, end: str) -> str:
    return f"{name[: _NAME - len('-verity') - 1 - len(end)]}-{end}"


def _checks(made: Made) -> bool:
    """Whether a kernel sets dm-verity up by its command line."""
    return machines.has(made, "DM_INIT", "DM_VERITY")


def _loader(workspace: Workspace, made: Made, filled: disks.Slot, boot: bytes) -> bytes:
    from oslet.run.native import program

    words = ["console=tty0", "console=ttyS0", "panic=10", "quiet"]
    if _checks(made):
        root, tree = (f"PARTUUID={guid}" for guid in disks.guids(filled.tree))
        words += [f"dm-mod.waitfor={root},{tree}", f'dm-mod.create="{table(filled.tree, root, tree)}"']
        words += ["oslet.root=/dev/dm-0"]
    else:
        words += [f"oslet.root=partname:{filled.name}"]
    first = initramfs(program("init").read_bytes(), made.modules, boot)
    image = (made.folder / "bzImage").read_bytes()
    return disks.unified(_stub(workspace), image, first, " ".join(words), made.release)


def _stub(workspace: Workspace) -> bytes:
    """systemd's EFI stub, from Debian's package."""
    from oslet.workspace import machine_arch
    from oslet.workspace.resolving import contents, resolve

    name, path = _STUB
    store, plain = workspace.store, Debian()
    lock = resolve(Wants((name,)), plain, machine_arch(), store, workspace.progress, refresh=False)
    for package in contents(lock, plain, store, workspace.progress):
        for entry in package.entries:
            if entry.path == path:
                return store.read(entry.digest)
    raise BuildError(f"{name} has no EFI stub", where=path)


def _data(
    workspace: Workspace, built: Built, folder: Path, volumes: Mapping[str, str], size: int
) -> list[tuple[str, Path]]:
    if not volumes:
        return []
    from oslet.run.machine.disks import disk, of_image
    from oslet.run.placing import Index

    image, made = built.image, []
    index, root = Index.of(workspace.tree(image).entries), workspace.store.rootfs(image)
    mke2fs = machines.tool(workspace, "e2fsprogs")
    for number, (name, path) in enumerate(volumes.items()):
        content = of_image(index, root, path, (image.uid, image.gid))
        uuid = erofs.uuid(f"{built.digest} {path}")
        made.append((name, disk(folder / name, mke2fs, content, size=size, name=f"data{number}", uuid=uuid)))
    return made


def _tools(workspace: Workspace) -> disks.Tools:
    vfat, mcopy = (machines.tool(workspace, name) for name in ("dosfstools", "mtools"))
    return disks.Tools(vfat, mcopy.with_name("mmd"), mcopy)


def _deliver(workspace: Workspace, disk: Path, file: Path, form: Format, image: str) -> None:
    """The disk at its place, in its form: a name that appears at once. A VMDK holds the name it is made under."""
    made = disk.with_name(f"disk.{form}")
    options = {"raw": [], "qcow2": ["-c"], "vmdk": ["-o", "subformat=streamOptimized"]}[form]
    words = [str(machines.tool(workspace, "qemu-utils")), "convert", "-f", "raw", "-O", form, *options]
    done = subprocess.run([*words, str(disk), str(made)], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise BuildError(f"qemu-img can't make a {form} disk", where=done.stderr.strip()[-300:])
    if form == "vmdk":
        _identify(made, image)
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with made.open("rb") as source, new.open("wb") as target:
            target.truncate(made.stat().st_size)
            disks.copy(source, target.fileno(), 0)
        new.chmod(0o644)
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)


def _identify(file: Path, image: str) -> None:
    """A VMDK's content id, which qemu-img draws by lot, from the image's digest; it is only ever compared."""
    with file.open("r+b") as stream:
        head = stream.read(1 << 16)
        at = head.find(b"\nCID=") + 5
        line, end = head.find(b"\n", at), head.find(b"\0", at)
        if not 5 <= at < line < end:
            raise BuildError("a VMDK without a content id", where=str(file))
        text = image[:8].encode() + head[line:end]  # the drawn one may have fewer digits
        stream.seek(at)
        stream.write(text.ljust(end - at, b"\0"))
