"""Where the dynamic linker finds a library: the search order of ld.so(8), on a tree as a value."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence

from oslet.model.tree import Entry
from oslet.trim.evidence import Evidence

TRIPLETS = {"x86-64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu", "i386": "i386-linux-gnu"}
_LIB = {"x86-64": "lib64", "i386": "lib"}
MAX_INCLUDES = 100


class Linker:
    """Finds libraries by name in a tree.

    ``at`` gives the file or folder that a path leads to, links followed; ``configured`` the folders of ld.so.conf(5)
    and LD_LIBRARY_PATH, in order.
    """

    def __init__(self, at: Callable[[str], Entry | None], configured: Sequence[str]) -> None:
        self._at = at
        self._configured = tuple(configured)

    def find(self, name: str, asking: str, evidence: Evidence, inherited: Sequence[str] = ()) -> tuple[str, str]:
        """Path and how it was found, for the library ``name`` that the file at ``asking`` needs; empty when not found.

        ``inherited`` are the folders of the DT_RPATHs of those that brought ``asking`` in.
        """
        if "/" in name:
            return (name, "by its path") if self._at(name) else ("", "")
        for folder, how in self._folders(asking, evidence, inherited):
            path = f"{folder}/{name}"
            found = self._at(path)
            if found is not None and found.kind == "file":
                return path, how
        return "", ""

    def variants(self, path: str) -> Iterator[str]:
        """The builds of one library for later processors, which ld.so prefers where they run (glibc-hwcaps)."""
        folder, _, name = path.rpartition("/")
        for level in ("x86-64-v2", "x86-64-v3", "x86-64-v4"):
            if self._at(other := f"{folder}/glibc-hwcaps/{level}/{name}"):
                yield other

    def _folders(self, asking: str, evidence: Evidence, inherited: Sequence[str]) -> Iterator[tuple[str, str]]:
        origin = posixpath.dirname(asking)
        if not evidence.runpath:
            yield from ((f, "DT_RPATH") for f in expand(evidence.rpath, origin, evidence.machine))
            yield from ((f, "DT_RPATH of what loads it") for f in inherited)
        yield from ((f, "DT_RUNPATH") for f in expand(evidence.runpath, origin, evidence.machine))
        yield from ((f, "ld.so.conf") for f in self._configured)
        triplet = TRIPLETS.get(evidence.machine, "")
        lib = _LIB.get(evidence.machine, "lib")
        for folder in (f"/lib/{triplet}", f"/usr/lib/{triplet}", f"/{lib}", f"/usr/{lib}", "/lib", "/usr/lib"):
            yield folder, "the linker's own folders"


def expand(folders: Sequence[str], origin: str, machine: str) -> tuple[str, ...]:
    """Folders of an rpath with $ORIGIN, $LIB and $PLATFORM filled in (ld.so(8)); relative ones are left out."""
    lib = f"lib/{TRIPLETS[machine]}" if machine in TRIPLETS else "lib"
    platform = {"x86-64": "x86_64"}.get(machine, machine)
    found = []
    for folder in folders:
        for word, value in (("ORIGIN", origin), ("LIB", lib), ("PLATFORM", platform)):
            folder = folder.replace(f"${{{word}}}", value).replace(f"${word}", value)
        if folder.startswith("/"):
            found.append(posixpath.normpath(folder))
    return tuple(found)
