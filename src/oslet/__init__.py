"""oslet: the OS as a library.

The public names, listed once; each is loaded when it is first used, so that importing oslet costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oslet import catalog as catalog
    from oslet.declare import Address as Address
    from oslet.declare import Bool as Bool
    from oslet.declare import Duration as Duration
    from oslet.declare import Enum as Enum
    from oslet.declare import Exec as Exec
    from oslet.declare import Float as Float
    from oslet.declare import Int as Int
    from oslet.declare import List as List
    from oslet.declare import Oslet as Oslet
    from oslet.declare import Path as Path
    from oslet.declare import Port as Port
    from oslet.declare import Size as Size
    from oslet.declare import Str as Str
    from oslet.declare import Url as Url
    from oslet.declare import param as param
    from oslet.errors import BuildError as BuildError
    from oslet.errors import DeclarationError as DeclarationError
    from oslet.errors import IntegrityError as IntegrityError
    from oslet.errors import NetworkError as NetworkError
    from oslet.errors import OsletError as OsletError
    from oslet.errors import ResolveError as ResolveError
    from oslet.errors import RunError as RunError
    from oslet.model.instance import Secret as Secret
    from oslet.model.oslet import Check as Check
    from oslet.model.oslet import Http as Http
    from oslet.model.oslet import Machine as Machine
    from oslet.model.oslet import Rule as Rule
    from oslet.model.oslet import SecretFile as SecretFile
    from oslet.model.oslet import Tcp as Tcp
    from oslet.model.oslet import Template as Template
    from oslet.model.oslet import Text as Text
    from oslet.model.oslet import Warm as Warm
    from oslet.model.source import Debian as Debian
    from oslet.model.source import Oci as Oci
    from oslet.workspace import Workspace as Workspace

_ROOMS = {
    "oslet.declare": "Oslet param Str Int Float Bool Enum Port Size Duration Url Path Address List Exec",
    "oslet.errors": "OsletError DeclarationError ResolveError IntegrityError BuildError RunError NetworkError",
    "oslet.model.instance": "Secret",
    "oslet.model.oslet": "Check Http Machine Tcp Template Text SecretFile Rule Warm",
    "oslet.model.source": "Debian Oci",
    "oslet.workspace": "Workspace",
}
_PLACES = {name: room for room, names in _ROOMS.items() for name in names.split()}
_SHELVES = ("catalog",)
"""Modules that are public as such."""

__all__ = sorted([*_PLACES, *_SHELVES])


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _SHELVES:
        return import_module(f"oslet.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module 'oslet' has no attribute {name!r}")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
