"""An image that another tool made → a declaration that starts from it, and the image that this makes."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from oslet.codec.declaration import lower, read_toml
from oslet.codec.places import Key, spell
from oslet.errors import DeclarationError, ResolveError
from oslet.model.image import Built
from oslet.model.lock import Lock
from oslet.model.source import Oci
from oslet.model.tree import Entry
from oslet.workspace.declared import Declared

if TYPE_CHECKING:
    from oslet.store import Store
    from oslet.workspace import Workspace

DOCKER = "docker:"
"""Before the name of an image that docker has on this machine."""


class Amount(NamedTuple):
    """How much there is: bytes of files, files, and programs among them."""

    size: int
    files: int
    programs: int


class Slimmed(NamedTuple):
    """The image as made, the lock that pins what it was made from, and how much there was and is."""

    built: Built
    lock: Lock
    before: Amount
    after: Amount


def slim(workspace: Workspace, table: Mapping[str, Any]) -> Slimmed:
    """Build what ``table`` declares, a declaration whose source is an image; nothing is written beside it.

    An image on disk is declared by its name, so that the result is the same wherever it stands. Raises what reading,
    locking and building a declaration raise.
    """
    folder, source = _parted(table["source"]["oci"])
    value = lower({**table, "source": {"oci": source}}, folder, _place)
    with workspace.store.scratch() as scratch:
        declared = Declared(value, folder, scratch / "slim.lock")
        lock = workspace.locked(declared)
        built = workspace.build(declared)
    before = amount(entry for each in workspace.contents(declared, lock) for entry in each.entries)
    return Slimmed(built, lock, before, amount(workspace.tree(built.image).entries))


def _parted(source: str) -> tuple[Path, str]:
    """An absolute path as folder and ``./NAME``; a reference as it is, beside the current folder."""
    path, mark, name = source.partition("#")
    if not path.startswith("/"):
        return Path.cwd(), source
    return Path(path).parent, f"./{Path(path).name}{mark}{name}"


def amount(entries: Iterator[Entry] | Sequence[Entry]) -> Amount:
    size = files = programs = 0
    for entry in entries:
        size += entry.size
        files += entry.kind == "file"
        programs += entry.program
    return Amount(size, files, programs)


@contextmanager
def found(image: str, store: Store) -> Iterator[str]:
    """What a declaration calls ``image``, a path from here, a reference, or ``docker:NAME``, until the block's end.

    DeclarationError for what is none of them.
    """
    if image.startswith(DOCKER):
        with store.scratch() as scratch:
            yield str(_from_docker(image.removeprefix(DOCKER), scratch / "image.tar"))
        return
    path, mark, name = image.partition("#")
    if Path(path).exists():
        yield f"{Path(path).absolute()}{mark}{name}"
        return
    if (local := Oci(image).path) is None:
        yield image
        return
    raise DeclarationError(
        "no such file or folder, and no registry is named",
        where=image,
        hint=f"{DOCKER}{local[0]} if docker has it; HOST/NAME:TAG if a registry has it",
    )


def name_of(image: str) -> str:
    """A name for what is made of ``image``: the last word of its path or reference, without tag and ending."""
    plain = image.removeprefix(DOCKER).partition("#")[0].partition("@")[0].rstrip("/")
    last = plain.rpartition("/")[2].partition(":")[0].lower()
    last = re.sub(r"(\.(tar|gz|tgz|zst|oci))+$", "", last)
    return re.sub(r"[^a-z0-9._-]+", "-", last).strip("._-")[:63].strip("._-") or "slim"


def write(table: Mapping[str, Any], built: Built, file: Path) -> None:
    """The declaration as TOML, to go on from; what the image says of its start stands there as comments.

    DeclarationError when something stands at ``file``.
    """
    import tomli_w

    from oslet.codec import canonical

    start = built.image.start
    said = {"command": start.command, "env": dict(start.env), "workdir": start.workdir, "user": start.user}
    said |= {"ports": start.ports, "volumes": start.volumes}
    lines = [f"# {name} = {canonical(value).decode()}" for name, value in said.items() if name != "env" and value]
    text = tomli_w.dumps({k: v for k, v in table.items() if k != "source"}) + "\n# The image says:\n"
    text += "\n".join(lines) + "\n\n" + tomli_w.dumps({"source": table["source"]})
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise DeclarationError(f"can't write the declaration: {error.strerror}", where=str(file)) from None
    read_toml(file)


def _from_docker(name: str, file: Path) -> Path:
    """What ``docker save`` says of an image of this machine. ResolveError when docker doesn't answer or have it."""
    client = shutil.which("docker") or shutil.which("podman")
    if client is None:
        raise ResolveError("there is no docker on this machine", where=f"{DOCKER}{name}")
    if name.startswith("-") or not name:
        raise ResolveError("no name of an image", where=f"{DOCKER}{name}")
    with file.open("wb") as stream:
        done = subprocess.run(
            (client, "save", name), stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.PIPE, check=False
        )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it says nothing"]
        raise ResolveError(f"docker can't save it: {said[0][:300]}", where=f"{DOCKER}{name}")
    return file


def _place(key: Key) -> tuple[int, str]:
    return 0, {"trim": "--trim", "keep": "--keep", "name": "--name"}.get(str(key[0]) if key else "", spell(key))
