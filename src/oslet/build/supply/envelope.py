"""DSSE envelopes (https://github.com/secure-systems-lab/dsse): a payload with signatures over its type and bytes.

Keys are Ed25519 or ECDSA on P-256, in PEM. ``cryptography`` is loaded only here: it is the extra ``oslet[sign]``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from oslet.codec import decode
from oslet.errors import DeclarationError, IntegrityError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    Private: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey
    Public: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey

MAX_KEY = 16 << 10
MAX_ENVELOPE = 32 << 20
"""Bytes of a key's file, and of an envelope's; a statement takes 150 bytes for each package."""
MAX_SIGNATURES = 16


class Signature(Struct, frozen=True):
    """``sig`` is base64; ``keyid`` a hint only: here the sha256 of the public key (DER)."""

    sig: str
    keyid: str = ""


class Envelope(Struct, frozen=True, rename="camel"):
    payload_type: str
    payload: str
    signatures: tuple[Signature, ...]


def sign(payload: bytes, payload_type: str, key: Private) -> Envelope:
    """The envelope with one signature."""
    signed = _sign(_authenticated(payload, payload_type), key)
    signature = Signature(base64.b64encode(signed).decode(), key_id(key.public_key()))
    return Envelope(payload_type, base64.b64encode(payload).decode(), (signature,))


def opened(data: bytes, payload_type: str, key: Public, *, where: str) -> bytes:
    """The payload of an envelope that ``key`` signed; IntegrityError at ``where`` for any other."""
    if len(data) > MAX_ENVELOPE:
        raise IntegrityError(f"over {MAX_ENVELOPE >> 20} MiB", where=where)
    envelope = decode(data, Envelope, where=where)
    if envelope.payload_type != payload_type:
        raise IntegrityError(f"holds {envelope.payload_type[:80]!r}, not {payload_type!r}", where=where)
    try:
        payload = base64.b64decode(envelope.payload, validate=True)
        signatures = [base64.b64decode(each.sig, validate=True) for each in envelope.signatures[:MAX_SIGNATURES]]
    except (binascii.Error, ValueError):
        raise IntegrityError("isn't base64", where=where) from None
    message = _authenticated(payload, envelope.payload_type)
    if not any(_signed(signature, message, key) for signature in signatures):
        raise IntegrityError(
            f"not signed by this key ({key_id(key)[:12]})", where=where, hint="another key signed it, or it was altered"
        )
    return payload


def _authenticated(payload: bytes, payload_type: str) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


# Keys


def private_key(path: Path) -> tuple[Private, bool]:
    """A private key, and whether others than its owner may read its file. No error shows any of it."""
    data, mode = _read(path)
    serialization = _serialization()
    where = str(path)
    try:
        key = serialization.load_pem_private_key(data, None)
    except TypeError:
        raise DeclarationError(
            "the key is encrypted", where=where, hint="decrypt it: openssl pkey -in KEY -out PLAIN"
        ) from None
    except Exception:  # what the library says may quote the file
        raise _no_key("private", where) from None
    if not _usable(key, "PrivateKey"):
        raise _no_key("private", where)
    return key, bool(mode & (stat.S_IRGRP | stat.S_IROTH))


def public_key(path: Path) -> Public:
    """A public key."""
    data, _ = _read(path)
    try:
        key = _serialization().load_pem_public_key(data)
    except DeclarationError:
        raise
    except Exception:
        raise _no_key("public", str(path)) from None
    if not _usable(key, "PublicKey"):
        raise _no_key("public", str(path))
    found: Public = key
    return found


def key_id(key: Public) -> str:
    """The sha256 of the key's DER form (SubjectPublicKeyInfo)."""
    serialization = _serialization()
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _read(path: Path) -> tuple[bytes, int]:
    try:
        with path.open("rb") as stream:
            mode = path.stat().st_mode
            data = stream.read(MAX_KEY + 1)
    except OSError as error:
        raise DeclarationError(f"can't read the key: {error.strerror}", where=str(path)) from None
    if len(data) > MAX_KEY:
        raise DeclarationError(f"over {MAX_KEY >> 10} KiB, which no key has", where=str(path))
    return data, mode


def _no_key(kind: str, where: str) -> DeclarationError:
    hint = "make one: openssl genpkey -algorithm ed25519 -out KEY.pem; openssl pkey -in KEY.pem -pubout -out PUB.pem"
    return DeclarationError(f"not a {kind} key in PEM, of Ed25519 or ECDSA on P-256", where=where, hint=hint)


def _serialization() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise DeclarationError(
            "signatures need the Python package cryptography", hint="pip install 'oslet[sign]'"
        ) from None
    return serialization


def _usable(key: object, kind: str) -> bool:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    if isinstance(key, getattr(ec, f"EllipticCurve{kind}")):
        return isinstance(key.curve, ec.SECP256R1)
    return isinstance(key, getattr(ed25519, f"Ed25519{kind}"))


def _sign(message: bytes, key: Private) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(hashes.SHA256()))
    return key.sign(message)


def _signed(signature: bytes, message: bytes, key: Public) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
