"""Trees of virtual machine monitors: of a Debian package only what one program reaches, to be a sandbox's root.

They come from the default suite as any package does: resolved, verified, kept in the store, made once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from oslet.errors import BuildError, RunError
from oslet.model.oslet import Wants
from oslet.model.source import Debian
from oslet.model.tree import Entry, Tree, follow
from oslet.store import Store

if TYPE_CHECKING:
    from oslet.build.files import Files

Progress: TypeAlias = Callable[[str, int, int], None]

_ORIGIN = "made:machine"
_EDITION = 4
"""Of what is picked, and how."""
_PLACES = ("/oslet/image", "/oslet/run", "/oslet/disks", "/dev", "/proc", "/sys", "/tmp", "/run", "/etc")
"""Where a slot of a machine has its mounts; ``/oslet/shim`` is a file there, bound over an empty one."""
HOLDER = "vmm-"
"""Begins the names under which these trees are pinned: no instance's id begins so."""


class Vmm(NamedTuple):
    """A monitor's tree, laid down, and the program in it: an absolute path there."""

    tree: str
    root: Path
    program: str


class _Pick(NamedTuple):
    """What of which package: ``paths``, with the libraries that they need."""

    package: str
    program: str
    paths: tuple[str, ...]


_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib")
_LINKER = "/usr/lib64/ld-linux-x86-64.so.2"
_QEMU = "/usr/bin/qemu-system-x86_64"
_FIRMWARE = tuple(
    f"/usr/share/{name}"
    for name in (
        *("seabios/bios-256k.bin", "qemu/qboot.rom"),
        *("qemu/kvmvapic.bin", "qemu/linuxboot_dma.bin", "qemu/pvh.bin"),
    )
)
"""Of microvm and pc, for a kernel that is given by file (QEMU, hw/i386/{microvm,pc}.c)."""
_PICKS = {
    "qemu": _Pick("qemu-system-x86", _QEMU, (_QEMU, _LINKER, *_FIRMWARE)),
    "qemu-kvm": _Pick(
        "qemu-system-x86", f"{_QEMU}-microvm", (f"{_QEMU}-microvm", _LINKER, "/usr/share/qemu/qboot.rom")
    ),
    "uml": _Pick("libc6", "/oslet/image/kernel", ("/usr/lib/x86_64-linux-gnu/libc.so.6", _LINKER)),
}
"""``qemu-kvm`` is Debian's build of QEMU that has the microvm alone, and no other accelerator than KVM: a quarter of
the size. User-mode Linux is its own monitor, and needs a C library."""


def vmm(name: str, store: Store, progress: Progress, source: Debian) -> Vmm:
    """The tree of ``qemu``, ``qemu-kvm`` or ``uml``, made at need from the default suite of ``source``'s mirror.

    It stays in the store until it is unpinned. RunError on a machine that isn't x86-64.
    """
    from oslet.workspace import machine_arch

    pick = _PICKS[name]
    arch = machine_arch()
    if arch != "amd64":
        raise RunError(f"virtual machines run on x86-64, and this machine is {arch}", hint="start it as a container")
    key = f"{name}-{arch}-{_EDITION}"
    known = (store.recall("vmm", key) or b"").decode()
    if known and (root := store.laid_down(known)):
        return Vmm(known, root, pick.program)
    progress(f"getting {pick.package}, once", 0, 0)
    plain = Debian(mirror=source.mirror, keyring=source.keyring)
    with store.writing():
        tree = _picked(pick, store, progress, plain)
        root = store.lay_down(tree)
        digest = store.save(tree)
        store.pin_tree(digest, f"{HOLDER}{name}")
        store.remember("vmm", key, digest.encode())
    return Vmm(digest, root, pick.program)


def _picked(pick: _Pick, store: Store, progress: Progress, source: Debian) -> Tree:
    from oslet.build.files import Files
    from oslet.build.merge import merge
    from oslet.workspace.resolving import contents, resolve

    lock = resolve(Wants((pick.package,)), source, "amd64", store, progress, refresh=False)
    whole = Files(store, merge(contents(lock, source, store, progress), lock))
    files = Files(store, _reached(pick.paths, whole))
    for place in _PLACES:
        files.mkdir(place, origin=_ORIGIN, reason="a machine's slot has it", keep=True)
    files.put("/oslet/shim", b"", mode=0o755, origin=_ORIGIN, reason="the shim is bound there")
    return files.tree()


def _reached(paths: tuple[str, ...], whole: Files) -> Iterator[Entry]:
    """Files with the links to them, and every library that they need; BuildError for one that isn't there."""
    from oslet.formats import elf

    todo, seen = list(paths), set[str]()
    for link in ("/bin", "/sbin", "/lib", "/lib64"):
        if (entry := whole.get(link)) is not None:
            yield entry
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        end, links = follow(path, whole.get)
        entry = whole.get(end)
        if entry is None or entry.kind != "file":
            raise BuildError("the package of a virtual machine monitor lacks a file", where=path)
        yield from (found for name in (*links, end) if (found := whole.get(name)))
        with whole.store.object(entry.digest).open("rb") as stream:
            read = elf.read(stream, where=path)
        for name in read.needed if read else ():
            todo.append(next((p for f in _LIBRARIES if whole.at(p := f"{f}/{name}")), f"{_LIBRARIES[0]}/{name}"))
