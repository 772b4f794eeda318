"""A stack where it stands: found, read, and converted if it is a Compose file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from oslet.codec.declaration import parse_toml, shown, text_of
from oslet.codec.stacks import Read, lower, read_stack
from oslet.errors import DeclarationError
from oslet.model.source import Oci

if TYPE_CHECKING:
    from oslet.codec.compose import Converted
    from oslet.workspace import Workspace

DEFAULT = ("stack.toml", "compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
COMPOSE = (".yaml", ".yml")


class Composing(NamedTuple):
    """How a Compose file is read: which profiles are active, the registry of images that say none, the variables."""

    environment: Mapping[str, str]
    profiles: Collection[str] = ()
    registry: str = ""


def find(folder: Path) -> Path:
    """The stack of a folder. DeclarationError when there is none."""
    for name in DEFAULT:
        if (folder / name).is_file():
            return Path(name) if folder == Path.cwd() else folder / name
    raise DeclarationError("there is no stack here", where=str(folder), hint=f"name its file, or write {DEFAULT[0]}")


def name_of(path: Path, environment: Mapping[str, str]) -> str:
    """What the stack in a file is called."""
    if path.suffix in COMPOSE:
        from oslet.codec.compose import compose_name

        return compose_name(path, environment)
    name = parse_toml(text_of(path, shown(path)), shown(path)).get("name")
    return name if isinstance(name, str) else read_stack(path).stack.name


def read(workspace: Workspace, path: Path, composing: Composing) -> tuple[Read, tuple[str, ...]]:
    """The stack in a file, and what of a Compose file was not taken over."""
    if path.suffix not in COMPOSE:
        return read_stack(path), ()
    converted = convert(workspace, path, composing)
    folder = path.absolute().parent
    return Read(lower(converted.table, folder, converted.place), folder, converted.place), converted.notes


def convert(workspace: Workspace, path: Path, composing: Composing) -> Converted:
    """A Compose file as a stack's table. An image whose entry point is needed is fetched."""
    from oslet.codec.compose import read_compose

    folder = path.absolute().parent

    def entry_point(source: str) -> tuple[str, ...]:
        from oslet.workspace import machine_arch
        from oslet.workspace.foreign import fetch

        pulled = fetch(Oci(source), folder, machine_arch(), workspace.store, workspace.progress)
        return tuple(pulled.config.config.entrypoint if pulled.config.config else ())

    return read_compose(path, composing.environment, composing.profiles, composing.registry, entry_point)
