"""Wheels laid down as an installer would, for Debian's own Python: parts → entries of the tree.

Debian's ``posix_local`` scheme (``/usr/lib/python3.X/sysconfig.py``, python-policy §2.5) puts what isn't a Debian
package under ``/usr/local``; modules go to its ``dist-packages``, which stands before Debian's own on ``sys.path``.
"""

from __future__ import annotations

import csv
import io
import posixpath
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from oslet.codec import canonical, decode
from oslet.errors import BuildError, IntegrityError
from oslet.formats.wheel import Part, Script, WheelFile, open_wheel
from oslet.model.lock import Wheel
from oslet.model.tree import Contents, Entry

if TYPE_CHECKING:
    from oslet.store import Store

RULES = 1
"""The version of what this module does with a wheel; part of what the store remembers results under."""

PREFIX = "/usr/local"
INTERPRETER = b"/usr/bin/python3"
INSTALLER = b"oslet\n"
WORKERS = 2

SCRIPT = """\
#!{interpreter}
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.exit({attribute}())
"""


class Laid(NamedTuple):
    """One file as laid down: its path in the image, mode, content's digest and size."""

    path: str
    mode: int
    digest: str
    size: int


def site(python: str) -> str:
    """Where wheels' modules stand in the image: ``/usr/local/lib/python3.13/dist-packages``."""
    return f"{PREFIX}/lib/python{python}/dist-packages"


def lay_wheels(store: Store, wheels: Sequence[tuple[Wheel, Path]], python: str) -> tuple[Contents, ...]:
    """Put each wheel's files into the store; what each holds, in the order given, with origin ``wheel:NAME``.

    Raises IntegrityError for a wheel that isn't what it says, BuildError for two wheels that put different files at
    one path. No folder is an entry: the tree makes those that files need.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        laid = tuple(pool.map(lambda pair: _contents(store, pair[0], pair[1], python), wheels))
    _check_apart(laid)
    return laid


def _contents(store: Store, wheel: Wheel, path: Path, python: str) -> Contents:
    origin = f"wheel:{wheel.name}"
    key = f"{wheel.sha256}-{python}-{RULES}"
    if known := store.recall("wheel", key):
        return decode(known, Contents, where=f"the store's memory of {wheel.file}")
    with open_wheel(path, wheel.file) as opened:
        if opened.name != wheel.name:
            raise IntegrityError(f"holds {opened.name}, not {wheel.name}", where=wheel.file)
        laid = sorted(_laid(store, opened, python))
    entries = (Entry(at, "file", mode, size=size, digest=digest, origin=origin) for at, mode, digest, size in laid)
    contents = Contents(origin, wheel.sha256, tuple(entries))
    store.remember("wheel", key, canonical(contents))
    return contents


def _laid(store: Store, wheel: WheelFile, python: str) -> Iterator[Laid]:
    """Everything an installation of ``wheel`` consists of, RECORD last."""
    laid: dict[str, Laid] = {}
    for part in wheel.parts():
        if "__pycache__" in part.path.split("/")[:-1] or part.member == f"{wheel.dist_info}/INSTALLER":
            continue  # byte code is compiled from the sources that are looked at, as pip and installer hold it
        path, mode = _place(part, wheel.name, python)
        chunks = wheel.chunks(part)
        digest, size = store.put_stream(_own_interpreter(chunks) if part.scheme == "scripts" else chunks, mode)
        if path in laid and laid[path].digest != digest:
            raise IntegrityError("two files would stand at one path", where=f"{wheel.file}: {path}")
        laid[path] = Laid(path, mode, digest, size)

    def made(path: str, data: bytes, mode: int = 0o644) -> Laid:
        return Laid(path, mode, store.put(data, mode), len(data))

    for script in wheel.scripts():
        path = f"{PREFIX}/bin/{script.name}"
        laid[path] = made(path, _script(script), 0o755)
    info = f"{site(python)}/{wheel.dist_info}"
    laid[f"{info}/INSTALLER"] = made(f"{info}/INSTALLER", INSTALLER)
    yield from laid.values()
    yield made(f"{info}/RECORD", _record(laid.values(), site(python), f"{wheel.dist_info}/RECORD"))


def _place(part: Part, name: str, python: str) -> tuple[str, int]:
    """Where ``part`` stands in the image, and its permission bits."""
    folder = {
        "purelib": site(python),
        "platlib": site(python),
        "scripts": f"{PREFIX}/bin",
        "headers": f"{PREFIX}/include/python{python}/{name}",
        "data": PREFIX,
    }[part.scheme]
    return f"{folder}/{part.path}", 0o755 if part.executable or part.scheme == "scripts" else 0o644


def _own_interpreter(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """A script whose first line asks for *a* Python (``#!python``) asks for the image's."""
    for number, chunk in enumerate(chunks):
        if number == 0 and (match := re.match(rb"#!pythonw?([^\r\n]*)(\r?\n|\Z)", chunk)):
            yield b"#!" + INTERPRETER + match[1] + match[2]
            yield chunk[match.end() :]
        else:
            yield chunk


def _script(script: Script) -> bytes:
    text = SCRIPT.format(
        interpreter=INTERPRETER.decode(),
        module=script.module,
        name=script.attribute.partition(".")[0],
        attribute=script.attribute,
    )
    return text.encode()


def _record(laid: Iterable[Laid], folder: str, own: str) -> bytes:
    """RECORD of what was laid down: paths beside ``folder``, sorted; its own row has no digest (PEP 376)."""
    rows = [(own, "", "")]
    for path, _, digest, size in laid:
        coded = urlsafe_b64encode(bytes.fromhex(digest)).decode().rstrip("=")
        rows.append((posixpath.relpath(path, folder), f"sha256={coded}", str(size)))
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows(sorted(rows))
    return stream.getvalue().encode()


def _check_apart(contents: Sequence[Contents]) -> None:
    owner: dict[str, tuple[str, str]] = {}
    for one in contents:
        for entry in one.entries:
            other, digest = owner.setdefault(entry.path, (one.origin, entry.digest))
            if digest != entry.digest:
                raise BuildError(
                    f"{other} and {one.origin} put different files at {entry.path}",
                    where="wheels",
                    hint="leave one of the two out, or ask for versions that don't clash",
                )
