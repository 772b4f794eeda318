"""Layer: what a command changed, from the folder that the kernel wrote into a tar that says it in the instance's terms.

The folder is an overlay's upper layer (overlayfs.rst): character devices 0:0 stand for what was removed, an attribute
marks a folder that hides the one below it, and owners are this machine's ids. The tar is an OCI layer's (image-spec,
layer.md): whiteouts are empty files, and owners are the instance's.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from oslet.errors import BuildError, OsletError
from oslet.formats.tar import Member, Writer
from oslet.run import ids

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_CHUNK = 1 << 20


class Owners(NamedTuple):
    """How ids on disk become the instance's; None for one that it doesn't have."""

    uid: Callable[[int], int | None]
    gid: Callable[[int], int | None]


def owners(mapping: ids.Mapping) -> Owners:
    """The owners as the namespace that encloses the instance sees them (for root: this machine), inside."""
    return Owners(
        lambda uid: ids.back(mapping.inner_uids, uid),
        lambda gid: ids.back(mapping.inner_gids, gid),
    )


def write(upper: Path, file: Path, mapping: ids.Mapping) -> None:
    """Write the tar of ``upper`` to ``file``. BuildError for what no image can hold; nobody writes there now."""
    with file.open("wb") as stream:
        writer = Writer(stream)
        for member, place in _members(upper, "", owners(mapping)):
            if member.kind == "file" and member.size:
                with place.open("rb") as content:
                    writer.add(member, iter(lambda: content.read(_CHUNK), b""))
            else:
                writer.add(member)
        writer.close()


def _members(folder: Path, at: str, owned: Owners) -> Iterator[tuple[Member, Path]]:
    for name in sorted(os.listdir(folder)):
        place, path = folder / name, f"{at}/{name}"
        info = place.lstat()
        if stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
            yield Member(f"{at}/{WHITEOUT}{name}", "file"), place
            continue
        if not path.isprintable() or name.startswith(WHITEOUT):
            raise BuildError("a file's name that no image can hold", where=ascii(path))
        uid, gid = owned.uid(info.st_uid), owned.gid(info.st_gid)
        if uid is None or gid is None:
            raise BuildError("it belongs to somebody who isn't in the image", where=path)
        mode = stat.S_IMODE(info.st_mode)
        if stat.S_ISDIR(info.st_mode):
            yield Member(path, "dir", mode, uid, gid), place
            if _hides(place):
                yield Member(f"{path}/{OPAQUE}", "file"), place
            yield from _members(place, path, owned)
        elif stat.S_ISLNK(info.st_mode):
            yield Member(path, "link", 0o777, uid, gid, 0, str(place.readlink())), place
        elif stat.S_ISREG(info.st_mode):
            yield Member(path, "file", mode, uid, gid, info.st_size), place
        # sockets and FIFOs live as long as who made them


def _hides(folder: Path) -> bool:
    for name in ("user.overlay.opaque", "trusted.overlay.opaque"):
        try:
            if os.getxattr(folder, name) == b"y":
                return True
        except OSError:
            continue
    return False


def main(upper: str, file: str) -> int:
    """As a program, run inside a namespace that has the ids: 0, or 1 with the reason in ``file``."""
    try:
        # Seen from the namespace that encloses it, an ordinary user's instance has the very same ids.
        every = (ids.Extent(0, 0, ids.COUNT),)
        write(Path(upper), Path(file), ids.Mapping((), (), every, every))
    except (OsletError, OSError, ValueError) as error:
        Path(file).write_text(str(error), "utf-8", "replace")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
