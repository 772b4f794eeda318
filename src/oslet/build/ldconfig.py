"""The linker's cache and the soname links, as ldconfig(8) would make them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from oslet.build.files import Files
from oslet.errors import BuildError
from oslet.formats import elf, ldcache
from oslet.model.tree import Entry

ORIGIN = "made:ldconfig"
_TRIPLETS = {"x86-64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu", "i386": "i386-linux-gnu"}
_LIBRARY = re.compile(r"(lib|ld-).*\.so(\.|$)")
_LOADER = re.compile(r"/lib(64)?/(ld-linux[^/]*\.so\.\d+|[^/]+/ld-linux[^/]*\.so\.\d+)")
MAX_INCLUDES = 100


def linker_cache(files: Files) -> None:
    """Write /etc/ld.so.cache for the libraries of the tree, and links for sonames that have none.

    Folders are those of ld.so.conf(5) and then ld.so's own, as in ldconfig(8); the first folder with a name wins. An
    image without the dynamic loader gets no cache.
    """
    if not any(_LOADER.search(e.path) for e in files if e.kind != "dir"):
        return
    found: dict[tuple[str, int], ldcache.Library] = {}
    for folder in linker_folders(files):
        for name, path, flags in _libraries(files, folder):
            found.setdefault((name, flags), ldcache.Library(name, path, flags))
    if not found:
        return
    files.put(
        "/etc/ld.so.cache",
        ldcache.write(found.values()),
        origin=ORIGIN,
        reason=f"ld.so finds {len(found)} libraries through it, as ldconfig would have written (libc-bin's trigger)",
    )


def linker_folders(files: Files) -> list[str]:
    """Where ldconfig(8) looks, in its order: what ld.so.conf(5) names, then the linker's own folders."""
    folders = list(_configured(files, "/etc/ld.so.conf", 0))
    for triplet in _TRIPLETS.values():
        folders += [f"/usr/local/lib/{triplet}", f"/lib/{triplet}", f"/usr/lib/{triplet}"]
    folders += ["/usr/local/lib", "/lib", "/usr/lib", "/lib64", "/usr/lib64"]
    return list(dict.fromkeys(files.resolve(f) for f in folders if files.is_dir(f)))


def _configured(files: Files, path: str, depth: int) -> Iterator[str]:
    if depth > 5 or not files.is_file(path):
        return
    for line in files.text(path).splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith(("include ", "include\t")):
            for included in files.glob(line.split(None, 1)[1])[:MAX_INCLUDES]:
                yield from _configured(files, included, depth + 1)
        elif line.startswith("/"):
            yield line


def _libraries(files: Files, folder: str) -> Iterator[tuple[str, str, int]]:
    """Name, path and flags of each library in one folder; missing soname links are made."""
    sonames: dict[str, tuple[str, str, int]] = {}
    for name in files.names(folder):
        if not _LIBRARY.match(name):
            continue
        path = f"{folder}/{name}"
        entry = files.at(path)
        if entry is None or entry.kind != "file":
            continue
        header = _header(files, entry)
        if header is None or header.machine not in ldcache.FLAGS:
            continue
        flags = ldcache.FLAGS[header.machine]
        own = files.get(path)
        soname = header.soname or name
        if own is not None and own.kind == "link" and name.endswith(".so") and soname.startswith(f"{name}."):
            yield name, path, flags
        elif "/" not in soname:
            known = sonames.get(soname)
            if (
                known is None
                or name == soname
                or (known[0] != soname and ldcache.order(name) > ldcache.order(known[0]))
            ):
                sonames[soname] = (name, path, flags)
    for soname, (name, path, flags) in sonames.items():
        if name != soname:
            if files.get(f"{folder}/{soname}") is None:
                files.link(f"{folder}/{soname}", name, origin=ORIGIN, reason=f"{path} calls itself {soname}")
            path = f"{folder}/{soname}"
        yield soname, path, flags


def _header(files: Files, entry: Entry) -> elf.Elf | None:
    try:
        with files.store.object(entry.digest).open("rb") as stream:
            return elf.read(stream, where=entry.path)
    except OSError as error:
        raise BuildError(f"can't read a library from the store: {error.strerror}", where=entry.path) from None
