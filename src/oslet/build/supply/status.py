"""``/var/lib/dpkg/status.d``: which packages an image has, as scanners look for it.

trivy, grype and syft read this folder, which distroless images introduced: a control paragraph a package, beside it
its ``.md5sums``. dpkg itself doesn't read it, so nothing takes the image for a system that dpkg could change.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from oslet.build.files import Files
from oslet.build.scripts.reading import control_fields
from oslet.build.supply.bill import summary
from oslet.model.tree import Contents, Entry

FOLDER = "/var/lib/dpkg/status.d"
ORIGIN = "made:packages"
FIELDS = ("Package", "Status", "Priority", "Section", "Maintainer", "Architecture", "Source", "Version")
"""What is copied of a control paragraph, in dpkg's own order."""

_TELLING = re.compile(
    r".*(\.so(\.[^/]*)?|\.jar|\.a|/package\.json|\.gemspec"
    r"|\.(dist|egg)-info(/(METADATA|PKG-INFO|RECORD|top_level\.txt))?)"
)
"""Files that a scanner may take for a package of its own, unless it reads that a Debian package owns them."""


def record(files: Files, packages: Sequence[Contents]) -> None:
    """Write a paragraph for every Debian package of which ``files`` hold anything, and the digests of what they hold.

    Call it when all else of the packages is decided. ``X-Oslet-Files`` says how many of a package's files (folders
    aside) are there as it brought them. Of a partial package, digests stand only for kept files; of all packages, only
    for programs and for what names a package of its own: scanners use them for nothing but whose file one is, and all
    of them would be a hundred bytes for every file of the image.
    """
    kept: dict[str, list[Entry]] = defaultdict(list)
    for entry in files:
        if entry.kind != "dir":
            kept[entry.origin].append(entry)
    for contents in packages:
        if contents.origin.startswith("wheel:") or not (mine := kept[contents.origin]):
            continue
        total = sum(e.kind != "dir" for e in contents.entries)
        why = f"scanners look here for packages: the image holds {len(mine)} of {total} files of {contents.origin}"
        paragraph = _paragraph(contents, len(mine), total).encode()
        files.put(f"{FOLDER}/{contents.origin}", paragraph, origin=ORIGIN, reason=why)
        if digests := _digests(files, contents, mine):
            path = f"{FOLDER}/{contents.origin}.md5sums"
            why = f"scanners look here for whose file one is: programs and libraries of {contents.origin}"
            files.put(path, digests.encode(), origin=ORIGIN, reason=why)


def _paragraph(contents: Contents, kept: int, total: int) -> str:
    fields = control_fields(contents.control.get("control", "")) | {
        "Package": contents.origin,
        "Status": "install ok installed",
    }
    lines = [f"{name}: {fields[name]}" for name in FIELDS if fields.get(name)]
    return "\n".join((*lines, f"Description: {summary(contents)}", f"X-Oslet-Files: {kept}/{total}", ""))


def _digests(files: Files, contents: Contents, kept: Sequence[Entry]) -> str:
    """Lines of md5sum(1) for the telling files among ``kept``, in path order."""
    recorded = md5sums(contents.control.get("md5sums", ""))
    unchanged = {e.path: e.digest for e in contents.entries}
    lines = []
    for entry in sorted(kept, key=lambda e: e.path):
        if entry.kind != "file" or not (entry.program or _TELLING.fullmatch(entry.path)):
            continue
        md5 = recorded.get(entry.path) if unchanged.get(entry.path) == entry.digest else None
        lines.append(f"{md5 or _md5(files, entry)}  {entry.path[1:]}\n")
    return "".join(lines)


def md5sums(text: str) -> Mapping[str, str]:
    """Absolute path → digest of a package's own md5sums (deb-md5sums(5)); lines of another form count for nothing."""
    return {f"/{m[2]}": m[1] for m in re.finditer(r"^([0-9a-f]{32})  ([^/\n][^\n]*)$", text, re.MULTILINE)}


def _md5(files: Files, entry: Entry) -> str:
    with files.store.object(entry.digest).open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
