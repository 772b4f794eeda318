"""Values ↔ bytes: canonical JSON, and the digest that is a value's identity."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec

from oslet.errors import IntegrityError

T = TypeVar("T")

_encoder = msgspec.json.Encoder(order="deterministic")


def canonical(value: Any) -> bytes:
    """The one spelling of ``value`` in bytes: JSON, fields in declared order, maps by key, defaults written out."""
    return _encoder.encode(value)


def digest(value: Any) -> str:
    """The identity of a whole value: the sha256 of its canonical bytes, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def decode(data: bytes, shape: type[T], *, where: str = "") -> T:
    """The value of type ``shape`` that ``data`` spells; IntegrityError (at ``where``) if it spells none."""
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(f"not a {shape.__name__}: {error}", where=where) from None
