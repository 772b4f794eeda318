"""The kernel's source: unpacked from the distribution's package, without what no target is built from, and changed in
the places that a target names."""

from __future__ import annotations

import lzma
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from oslet.build.kernel.config import dependencies
from oslet.build.kernel.tables import Edit
from oslet.errors import BuildError, IntegrityError
from oslet.formats.tar import Limits, Member, read

ARCHIVE = re.compile(r"/usr/src/linux-source-(\d+(?:\.\d+)+)\.tar\.xz")
"""Where Debian's linux-source packages have it."""
_LIMITS = Limits(members=200_000, size=4 << 30)
_OTHERS = re.compile(
    r"(?:Documentation|arch/(?!x86/|um/)[^/]+|drivers/(?:gpu/drm|media|infiniband|staging|net/wireless|accel)|sound"
    r"|samples|tools/(?:testing|perf))/.*"
)
"""Three quarters of the source: other architectures, devices that no row asks for, and what is no kernel."""
_ALWAYS = re.compile(r".*/(?:Kconfig[^/]*|Kbuild|Makefile[^/]*|[^/]*\.include)")
"""What names the rest, wherever it is: Kconfig reads all of it first."""
MAX_MAKEFILE = 1 << 20


def needed(path: str) -> bool:
    """Whether a file of the source, by its path there, is needed for any target."""
    return not _OTHERS.fullmatch(path) or bool(_ALWAYS.fullmatch(path))


def unpack(archive: Path, into: Path, edits: Iterable[Edit], progress: Callable[[int], None]) -> None:
    """Unpack the source into the folder ``into``, changed by ``edits``; ``progress`` hears how many files there are.
    IntegrityError for an archive that isn't sound, BuildError for an edit that doesn't fit."""
    made: set[Path] = set()
    for count, (path, member, content) in enumerate(_members(archive)):
        place = into / path
        if place.parent not in made:
            place.parent.mkdir(parents=True, exist_ok=True)
            made.add(place.parent)
        if member.kind == "link":
            place.symlink_to(_inside(path, member.target))
            continue
        with place.open("wb") as file:
            file.writelines(content)
        if member.mode & 0o100:
            place.chmod(0o755)
        if count % 500 == 0:
            progress(count)
    for edit in edits:
        place = into / edit.file
        if not place.is_file():
            raise BuildError("the source lacks a file that is to be changed", where=edit.file, hint=edit.why)
        place.write_text(changed(place.read_text("utf-8", "surrogateescape"), edit), "utf-8", "surrogateescape")


def _inside(path: str, target: str) -> str:
    """A link's target; IntegrityError if it leads out of the source."""
    if target.startswith("/") or posixpath.normpath(posixpath.join(posixpath.dirname(path), target)).startswith(".."):
        raise IntegrityError("a link leads out of the kernel's source", where=path)
    return target


def changed(text: str, edit: Edit) -> str:
    """The text of a file after one edit. BuildError unless what it replaces stands there exactly once."""
    count = text.count(edit.old)
    if count != 1:
        raise BuildError(
            f"{edit.old!r} stands there {count} times, not once",
            where=f"kernel source, {edit.file}",
            hint=f"this source is another than the edit is for; it was needed since {edit.why}",
        )
    return text.replace(edit.old, edit.new)


def dependencies_in(source: Path, symbol: str) -> str:
    """What a symbol of the unpacked source depends on; see ``config.dependencies``."""
    files = (path for path in source.rglob("Kconfig*") if path.is_file() and path.stat().st_size <= MAX_MAKEFILE)
    return dependencies(symbol, ((str(p.relative_to(source)), p.read_text("utf-8", "replace")) for p in files))


def _members(archive: Path) -> Iterator[tuple[str, Member, Iterator[bytes]]]:
    """The files and links that are needed, by their paths in the source. Links lead to what stands in the source."""
    with lzma.open(archive) as stream:
        for member, content in read(stream, where=archive.name, limits=_LIMITS):
            path = member.path[1:].partition("/")[2]
            if path and member.kind in ("file", "link") and needed(path):
                yield path, member, content


def version(makefile: str) -> str:
    """A source's version by its Makefile: ``6.12.118``."""
    said: Mapping[str, str] = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$", makefile, re.MULTILINE))
    return ".".join(said.get(name, "?") for name in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))
