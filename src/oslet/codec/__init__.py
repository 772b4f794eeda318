"""Values ↔ bytes: canonical JSON, and the digest that is a value's identity."""

from __future__ import annotations

import hashlib
from threading import Lock
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


_making = Lock()
"""msgspec lays out a type where it is first used: two threads that have it do so at once can crash it (seen in 0.22.0
as a read of address 0, one run in a hundred)."""


_decoders: dict[object, msgspec.json.Decoder[Any]] = {}


def decode(data: bytes, shape: type[T], *, where: str = "") -> T:
    """The value of type ``shape`` that ``data`` spells; IntegrityError (at ``where``) if it spells none."""
    with _making:
        if (decoder := _decoders.get(shape)) is None:
            decoder = _decoders[shape] = msgspec.json.Decoder(shape)
    try:
        value: T = decoder.decode(data)
        return value
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise IntegrityError(f"not a {shape.__name__}: {error}", where=where) from None
