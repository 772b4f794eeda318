"""A foreign image's contents as one tree, before trimming and after: what stands for merging and synthesising packages.

Its packages were configured where it was made, so nothing of that is made again but the linker's cache.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from oslet.build.bytecode import ORIGIN as BYTE_CODE
from oslet.build.debian import strip_rights
from oslet.build.etc import FOLDERS, LINKS
from oslet.build.etc import ORIGIN as LAYOUT
from oslet.build.files import Files
from oslet.build.foreign.divide import CAPABLE, STALE
from oslet.build.foreign.python import source_of
from oslet.build.merge import MERGED
from oslet.build.merge import ORIGIN as USRMERGE
from oslet.model.oslet import Policy
from oslet.model.tree import Contents, Entry

LINKER_CACHE = "/etc/ld.so.cache"
RELEASE = ("/etc/os-release", "/usr/lib/os-release")


def lay(contents: Sequence[Contents]) -> tuple[Entry, ...]:
    """One entry per path, sorted: what the image holds, but for byte code, which follows its source in ``settle``, and
    the linker's cache, which is of what stays."""
    found = [_merged(e) for c in contents for e in c.entries if not source_of(e.path) and e.path != LINKER_CACHE]
    return tuple(sorted(found, key=lambda e: e.path))


def settle(files: Files, contents: Sequence[Contents], policy: Policy) -> None:
    """Gives kept sources their byte code back, makes the folders that an instance mounts over, takes set-id bits."""
    whole = {e.path: e for c in contents for e in c.entries}
    for path in sorted(whole):
        code = whole[path]
        source = source_of(path)
        if path == LINKER_CACHE and not files.is_file(path):
            files.omit(replace(code, reason="the linker's cache is made again, of the libraries that stay"))
        elif not source:
            continue
        elif code.reason == STALE:
            files.omit(code)
        elif source in whole and source not in files:
            files.omit(replace(code, reason=f"byte code of {source}, which was left out"))
        else:
            files.place(replace(code, origin=BYTE_CODE))
    _layout(files)
    capable = [path for c in contents for path in c.control.get(CAPABLE, "").split("\n") if path]
    strip_rights(files, dict.fromkeys(capable, "the image's layers say so"), policy.setuid)


def _layout(files: Files) -> None:
    """The folders that every program expects, as the image has them: they are nobody's, as in a tree of packages."""
    for path, mode in FOLDERS:
        if (entry := files.get(path)) is not None:
            files.place(replace(entry, origin=LAYOUT, reason="every program may expect it (FHS 3.0)"))
        elif path.count("/") == 1:
            files.mkdir(path, mode=mode, origin=LAYOUT, reason="every program may expect it (FHS 3.0)")
    for path, target in LINKS:
        if (entry := files.get(path)) is not None and entry.kind == "link":
            files.place(replace(entry, origin=LAYOUT, reason=f"older programs say {path} for {target} (FHS 3.0)"))
    for path in RELEASE:
        if (entry := files.get(path)) is not None and entry.kind != "dir":
            files.place(replace(entry, origin=LAYOUT, reason="says which system this is (os-release(5))"))


def _merged(entry: Entry) -> Entry:
    """The links of a merged /usr are nobody's, as in a tree of packages."""
    name = entry.path[1:]
    if entry.kind == "link" and name in MERGED and entry.target.lstrip("/") == f"usr/{name}":
        return replace(entry, origin=USRMERGE, reason="Debian has one /usr (usrmerge)")
    return entry
