"""Params: the typed holes of a declaration."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType


class _Kind(Struct, frozen=True, tag_field="type", forbid_unknown_fields=True):
    """What values a param takes. The tag is the word a declaration writes as ``type``."""


class StrKind(_Kind, frozen=True, tag="str"):
    min_length: int = 0
    max_length: int | None = None
    pattern: str | None = None
    """A regular expression (Python ``re``) that the whole value matches."""


class IntKind(_Kind, frozen=True, tag="int"):
    min: int | None = None
    max: int | None = None


class FloatKind(_Kind, frozen=True, tag="float"):
    min: float | None = None
    max: float | None = None


class BoolKind(_Kind, frozen=True, tag="bool"):
    pass


class EnumKind(_Kind, frozen=True, tag="enum"):
    choices: tuple[str, ...] = ()


class PortKind(_Kind, frozen=True, tag="port"):
    min: int = 1
    max: int = 65535


class SizeKind(_Kind, frozen=True, tag="size"):
    """Bytes, written as an integer or as ``"64MiB"``, ``"1.5 GB"``; the value is an int."""

    min: int | None = None
    max: int | None = None


class DurationKind(_Kind, frozen=True, tag="duration"):
    """Seconds, written as a number or as ``"1h30m"``, ``"250ms"``; the value is a float."""

    min: float | None = None
    max: float | None = None


class UrlKind(_Kind, frozen=True, tag="url"):
    schemes: tuple[str, ...] = ()


class PathKind(_Kind, frozen=True, tag="path"):
    """An absolute path inside the instance."""


class AddressKind(_Kind, frozen=True, tag="address"):
    """A host, ``host:port``, IPv4, or ``[IPv6]`` with or without a port."""


class SecretKind(_Kind, frozen=True, tag="secret"):
    min_length: int = 0
    pattern: str | None = None


class ListKind(_Kind, frozen=True, tag="list"):
    """Several values of one kind; interpolated as their texts joined by ``separator``."""

    of: ItemKind = StrKind()
    min_length: int = 0
    max_length: int | None = None
    separator: str = ","


ItemKind: TypeAlias = (
    StrKind
    | IntKind
    | FloatKind
    | BoolKind
    | EnumKind
    | PortKind
    | SizeKind
    | DurationKind
    | UrlKind
    | PathKind
    | AddressKind
)
Kind: TypeAlias = ItemKind | ListKind | SecretKind


class Param(Struct, frozen=True, forbid_unknown_fields=True):
    """One typed hole. ``default`` is in the kind's canonical form (bytes, seconds, …); unset means required. That of
    a secret is the empty text, or none."""

    name: str
    kind: Kind
    default: Any | UnsetType = UNSET
    help: str = ""
    at: Literal["start", "build"] = "start"

    @property
    def required(self) -> bool:
        return self.default is UNSET
