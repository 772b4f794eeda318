"""A Compose file → a stack as it is written, and what of the file can't be said in one.

https://github.com/compose-spec/compose-spec. The result is a table of the shape of ``stack.toml``, so that what
``oslet up`` does with a Compose file is what it does with the stack that ``oslet convert`` writes of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from oslet.codec.compose.interpolation import Interpolation, read_env
from oslet.codec.compose.marked import read_yaml
from oslet.codec.compose.services import MAX_FILE, Notes, Service, network_names
from oslet.codec.conform import Faults, Place
from oslet.codec.declaration import shown, text_of
from oslet.codec.kinds import told
from oslet.codec.nearest import suggestion
from oslet.codec.places import Key, line_of, spell
from oslet.errors import DeclarationError

EntryPoint: TypeAlias = Callable[[str], tuple[str, ...]]
"""What an image's entry point is, by the ``oci`` source that names it."""

_ELSEWHERE = {
    "configs": "write a file beside the stack under declare.files",
    "include": "write its services into this file",
}
_TOP = ("services", "name", "version", "volumes", "networks", "secrets", *_ELSEWHERE)


class Converted(NamedTuple):
    """The stack's table, where each of its keys stands in the Compose file, and what was not taken over."""

    table: dict[str, Any]
    place: Place
    notes: tuple[str, ...]


def compose_name(path: Path, environment: Mapping[str, str]) -> str:
    """What the stack of a Compose file is called: its ``name``, or its folder's."""
    value, _, faults = _filled(path, environment, [])
    faults.raise_any(lambda key: (0, f"{shown(path)}: {spell(key)}"))
    return _name(value, path)


def read_compose(
    path: Path, environment: Mapping[str, str], profiles: Collection[str], registry: str, entry_point: EntryPoint
) -> Converted:
    """The stack that a Compose file describes. DeclarationError with every fault, each at ``FILE:LINE: KEY``."""
    where = shown(path)
    notes = Notes(where)
    value, lines, faults = _filled(path, environment, notes.said)
    notes.lines = lines

    def place(key: Key) -> tuple[int, str]:
        line = line_of(lines, key)
        return line, f"{where}:{line}: {spell(key)}" if line else f"{where}: {spell(key)}"

    services = value.get("services")
    if not isinstance(services, dict) or not services:
        faults.add(("services",), "there are no services in it")
        services = {}
    for name in value:
        if name in _ELSEWHERE:
            notes.add((name,), _ELSEWHERE[name])
        elif name not in _TOP and not name.startswith("x-"):
            faults.add((name,), "no such key", suggestion(name, _TOP, kind="keys"))
    active = {n: s for n, s in services.items() if isinstance(s, dict) and _active(s, profiles)}
    for name in services.keys() - active.keys():
        if not isinstance(services[name], dict):
            faults.add(("services", name), f"expected a mapping, got {told(services[name])}")
    networks = network_names(active, value.get("networks") or {}, notes)
    stack = _name(value, path)
    members = {}
    for name, written in active.items():
        service = Service(name, written, path.absolute().parent, environment, value, registry, notes, faults)
        members[name] = service.member(f"{stack}-{networks[name]}" if name in networks else "", entry_point)
    faults.raise_any(place)
    table = {"name": stack, "members": members}
    return Converted(table, lambda key: place(_origin(key)), tuple(notes.said))


def _filled(
    path: Path, environment: Mapping[str, str], said: list[str]
) -> tuple[dict[str, Any], dict[Key, int], Faults]:
    """The file's value with all substitutions made, from the environment and the file ``.env`` beside it."""
    where = shown(path)
    faults = Faults()
    marked = read_yaml(text_of(path, where), where)
    if not isinstance(marked.value, dict):
        raise DeclarationError(f"expected a mapping, got {told(marked.value)}", where=where)
    try:
        with (path.parent / ".env").open(encoding="utf-8") as stream:
            beside = read_env(stream.read(MAX_FILE))
    except (OSError, UnicodeDecodeError):
        beside = {}
    known = {name: value for name, value in beside.items() if value is not None} | dict(environment)
    filling = Interpolation(known, faults)
    value = filling.everywhere(marked.value)
    said += [f"{where}: {name} is not set, so it is empty" for name in sorted(filling.unset)]
    return value, marked.lines, faults


def _name(value: Mapping[str, Any], path: Path) -> str:
    given = value.get("name") or path.absolute().parent.name
    return re.sub(r"[^a-z0-9_-]+", "", str(given).lower()).strip("-_")[:30].strip("-_") or "stack"


def _active(service: Mapping[str, Any], profiles: Collection[str]) -> bool:
    own = service.get("profiles")
    return not own or bool(set(map(str, own)) & set(profiles)) or "*" in profiles


def _origin(key: Key) -> Key:
    """Where in a Compose file a key of the stack came from, as nearly as can be said."""
    return ("services", *key[1:2]) if key[:1] == ("members",) else key
