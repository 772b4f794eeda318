"""A disk that a machine's firmware starts: EFI partition, two slots for roots with their hash trees, data.

What is written is the same each time: GUIDs follow from the image's digest, file systems have no times. A slot's name
is its image's, or ``_empty``, as systemd-sysupdate(8) has it; a root's GUID is the first half of its root hash and its
tree's the second, as the Discoverable Partitions Specification has it.
"""

from __future__ import annotations

import errno
import os
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from oslet.build.machine.erofs import uuid as named
from oslet.errors import BuildError
from oslet.formats import gpt, pe
from oslet.formats.verity import BLOCK, Verity, verity

MIB = 1 << 20
_PIECE = 64 << 10
EFI = 64 * MIB
"""Bytes of the EFI partition at least: FAT32 has no fewer than 65525 clusters."""
SLOT = 16 * MIB
"""Slots are multiples of it."""
LOADER = "EFI/BOOT/BOOTX64.EFI"
"""What firmware starts of a disk that it wasn't told about (UEFI 2.10, 3.5.1.1)."""


class Tools(NamedTuple):
    """Programs: mkfs.vfat(8), mmd(1) and mcopy(1)."""

    mkfs_vfat: Path
    mmd: Path
    mcopy: Path


class Slot(NamedTuple):
    """A filled slot: its name, its root's file, and the hash tree of that."""

    name: str
    root: Path
    tree: Verity


def slot(name: str, root: Path, image: str) -> Slot:
    """The slot of a root, ``image`` being the digest that its salt follows from."""
    salt = bytes.fromhex(image)[:32]
    tree = verity(_blocks(root), salt, uuid.UUID(named(f"{image} verity")).bytes)
    return Slot(name, root, tree)


def guids(tree: Verity) -> tuple[str, str]:
    """A root's GUID and its hash tree's."""
    return str(uuid.UUID(bytes=tree.root[:16])), str(uuid.UUID(bytes=tree.root[16:]))


def unified(stub: bytes, kernel: bytes, initramfs: bytes, line: str, release: str) -> bytes:
    """A kernel that firmware starts, with its initramfs and its command line in it (UAPI's "Unified Kernel Image")."""
    sections = {
        ".osrel": b"ID=oslet\nNAME=oslet\n",
        ".uname": release.encode(),
        ".cmdline": line.encode(),
        ".initrd": initramfs,
        ".linux": kernel,
    }
    return pe.with_sections(stub, sections, where="systemd's EFI stub")


def assemble(
    file: Path, image: str, loader: bytes, filled: Slot, data: Sequence[tuple[str, Path]], tools: Tools
) -> None:
    """Write the disk to ``file``, a new one; ``data`` are its last partitions, by name. BuildError if a tool fails."""
    room = -(-max(filled.root.stat().st_size * 2, SLOT) // SLOT) * SLOT
    tree = -(-max(len(filled.tree.data) * 2, MIB) // MIB) * MIB
    efi = max(EFI, -(-len(loader) * 4 // MIB) * MIB)
    root, hashes = guids(filled.tree)
    parts = (
        gpt.Partition(gpt.ESP, named(f"{image} esp"), "esp", efi),
        gpt.Partition(gpt.ROOT, root, filled.name, room, read_only=True),
        gpt.Partition(gpt.ROOT_VERITY, hashes, f"{filled.name}-verity", tree, read_only=True),
        gpt.Partition(gpt.ROOT, named(f"{image} b"), "_empty", room, read_only=True),
        gpt.Partition(gpt.ROOT_VERITY, named(f"{image} b-verity"), "_empty", tree, read_only=True),
        *(gpt.Partition(gpt.DATA, named(f"{image} {name}"), name, path.stat().st_size) for name, path in data),
    )
    placed = gpt.gpt(named(f"{image} disk"), parts)
    esp = file.with_name(f"{file.name}.esp")
    try:
        _esp(esp, efi, loader, tools)
        with file.open("wb") as disk:
            disk.truncate(placed.size)
            for start, content in zip(placed.starts, (esp, filled.root)):
                _place(content, disk.fileno(), start)
            _write(disk.fileno(), filled.tree.data, placed.starts[2])
            for start, (_, path) in zip(placed.starts[5:], data):
                _place(path, disk.fileno(), start)
            _write(disk.fileno(), placed.head, 0)
            _write(disk.fileno(), placed.tail, placed.size - len(placed.tail))
    finally:
        esp.unlink(missing_ok=True)


def _esp(file: Path, size: int, loader: bytes, tools: Tools) -> None:
    program = file.with_name(f"{file.name}.efi")
    program.write_bytes(loader)
    os.utime(program, (315532800, 315532800))  # 1980, where FAT's time begins
    try:
        file.unlink(missing_ok=True)
        with file.open("wb") as made:
            made.truncate(size)
        _run([str(tools.mkfs_vfat), "-F", "32", "-s", "1", "--invariant", "-n", "ESP", str(file)])
        folders = ["::/EFI", f"::/{LOADER.rpartition('/')[0]}"]
        _run([str(tools.mmd), "-i", str(file), *folders])
        _run([str(tools.mcopy), "-m", "-i", str(file), str(program), f"::/{LOADER}"])
    finally:
        program.unlink(missing_ok=True)


def _run(words: list[str]) -> None:
    environment = {"PATH": os.defpath, "SOURCE_DATE_EPOCH": "315532800", "TZ": "UTC0", "MTOOLSRC": "/dev/null"}
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", env=environment, check=False)
    if done.returncode:
        name = Path(words[0]).name
        raise BuildError(
            f"{name} can't make the EFI partition", where=done.stderr.strip()[-300:] or str(done.returncode)
        )


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while block := stream.read(BLOCK):
            yield block.ljust(BLOCK, b"\0")


def _place(source: Path, target: int, at: int) -> None:
    with source.open("rb") as stream:
        copy(stream, target, at)


def copy(stream: IO[bytes], target: int, at: int) -> None:
    """A file's content to ``at`` in another, which keeps its holes where there is nothing but zeros; the holes of the
    first, perhaps most of a gigabyte, aren't read."""
    begin = stream.tell()
    while (place := _content(stream)) is not None and (chunk := stream.read(_PIECE)):
        if chunk.count(0) != len(chunk):
            _write(target, chunk, at + place - begin)


def _content(stream: IO[bytes]) -> int | None:
    """Move to the next place where there is no hole (lseek(2)), and tell it; None if only a hole follows."""
    try:
        return stream.seek(os.lseek(stream.fileno(), stream.tell(), os.SEEK_DATA))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


def _write(target: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(target, view, at)
        view, at = view[done:], at + done
