"""``/var/lib/dpkg/status.d``: which packages an image has, as scanners look for it.

trivy, grype and syft read this folder, which distroless images introduced: a control paragraph a package, beside it
its ``.md5sums``. dpkg itself doesn't read it, so nothing takes the image for a system that dpkg could change.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from msgspec import Struct

from oslet.build.files import Files
from oslet.build.scripts.reading import control_fields
from oslet.model.tree import Contents, Entry

FOLDER = "/var/lib/dpkg/status.d"
ORIGIN = "made:packages"
FIELDS = ("Package", "Status", "Priority", "Section", "Maintainer", "Architecture", "Source", "Version")
"""What is copied of a control paragraph, in dpkg's own order."""

MAX_FIELD = 500
"""Letters of a name, an address or a summary that are read."""

_TELLING = re.compile(
    r".*(\.so(\.[^/]*)?|\.jar|\.a|/package\.json|\.gemspec"
    r"|\.(dist|egg)-info(/(METADATA|PKG-INFO|RECORD|top_level\.txt))?)"
)
"""Files that a scanner may take for a package of its own, unless it reads that a Debian package owns them."""


class Note(Struct, frozen=True):
    """What is told to scanners of one Debian package, if anything of it is in an image.

    ``paragraph`` lacks its last line; ``files`` counts what the package brings, folders aside; ``md5`` is by sha256, of
    the files whose owner scanners ask for.
    """

    origin: str
    paragraph: str
    files: int
    md5: dict[str, str]


def notes(packages: Sequence[Contents]) -> tuple[Note, ...]:
    """A note for each Debian package, from what it says of itself; wheels tell scanners themselves, and what else an
    image has is no package."""
    return tuple(_note(contents) for contents in packages if "control" in contents.control)


def _note(contents: Contents) -> Note:
    recorded = md5sums(contents.control.get("md5sums", ""))
    md5 = {e.digest: recorded[e.path] for e in contents.entries if e.path in recorded and _telling(e)}
    fields = control_fields(contents.control.get("control", "")) | {
        "Package": contents.origin,
        "Status": "install ok installed",
    }
    lines = [f"{name}: {fields[name]}" for name in FIELDS if fields.get(name)]
    paragraph = "\n".join((*lines, f"Description: {summary(contents)}", ""))
    return Note(contents.origin, paragraph, sum(e.kind != "dir" for e in contents.entries), md5)


def record(files: Files, packages: Sequence[Note]) -> None:
    """Write a paragraph for every package of which ``files`` hold anything, and the digests of what they hold.

    Call it when all else is decided. ``X-Oslet-Files`` says how many of a package's files (folders aside) are there as
    it brought them. Digests stand only for kept files, and only for programs and for what names a package of its own:
    scanners use them for nothing but whose file one is, and all would be a hundred bytes for every file of the image.
    """
    kept: dict[str, list[Entry]] = defaultdict(list)
    for entry in files:
        if entry.kind != "dir":
            kept[entry.origin].append(entry)
    for note in packages:
        if not (mine := kept[note.origin]):
            continue
        why = f"scanners look here for packages: the image holds {len(mine)} of {note.files} files of {note.origin}"
        paragraph = f"{note.paragraph}X-Oslet-Files: {len(mine)}/{note.files}\n"
        files.put(f"{FOLDER}/{note.origin}", paragraph.encode(), origin=ORIGIN, reason=why)
        lines = [
            f"{note.md5.get(entry.digest) or _md5(files, entry)}  {entry.path[1:]}\n"
            for entry in sorted(mine, key=lambda e: e.path)
            if _telling(entry)
        ]
        if lines:
            path = f"{FOLDER}/{note.origin}.md5sums"
            why = f"scanners look here for whose file one is: programs and libraries of {note.origin}"
            files.put(path, "".join(lines).encode(), origin=ORIGIN, reason=why)


def _telling(entry: Entry) -> bool:
    return entry.kind == "file" and (entry.program or _TELLING.fullmatch(entry.path) is not None)


def summary(contents: Contents) -> str:
    """The first line of a Debian package's description."""
    match = re.search(r"^Description:[ \t]*(.*)$", contents.control.get("control", ""), re.MULTILINE)
    return match[1].strip()[:MAX_FIELD] if match else ""


def md5sums(text: str) -> Mapping[str, str]:
    """Absolute path → digest of a package's own md5sums (deb-md5sums(5)); lines of another form count for nothing."""
    return {f"/{m[2]}": m[1] for m in re.finditer(r"^([0-9a-f]{32})  ([^/\n][^\n]*)$", text, re.MULTILINE)}


def _md5(files: Files, entry: Entry) -> str:
    with files.store.object(entry.digest).open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
