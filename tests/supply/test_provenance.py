"""Provenance: what the statement says, and signatures that hold or don't."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from oslet.build.supply.envelope import MAX_KEY, Envelope, opened, private_key, public_key, sign
from oslet.build.supply.provenance import PAYLOAD, check_subject, provenance
from oslet.codec import canonical, digest
from oslet.errors import DeclarationError, IntegrityError

from .world import World

PEM = serialization.Encoding.PEM
PLAIN = serialization.NoEncryption()
MAKERS: dict[str, Callable[[], Any]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
}


def written(key: Any, folder: Path, encryption: serialization.KeySerializationEncryption = PLAIN) -> tuple[Path, Path]:
    """A key pair as PEM files: private, public."""
    secret, public = folder / "key.pem", folder / "public.pem"
    secret.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption))
    secret.chmod(0o600)
    public.write_bytes(key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return secret, public


def stated(made: World) -> dict[str, Any]:
    subjects = {"image": digest(made.image)}
    return provenance(made.image, subjects, made.plan, made.lock, ("debian", "13"), maker="1.0")


def test_what_a_statement_says(made: World) -> None:
    statement = json.loads(canonical(stated(made)))
    assert statement["subject"] == [{"name": "world:image", "digest": {"sha256": digest(made.image)}}]
    build = statement["predicate"]["buildDefinition"]
    assert build["externalParameters"]["files"] == {"/app": "9" * 64}
    assert build["externalParameters"]["packages"] == ["web"]
    assert build["externalParameters"]["start"]["command"] == ["/usr/bin/web"]
    assert [d["digest"]["sha256"] for d in build["resolvedDependencies"]] == [i.sha256 for i in made.lock.items]
    assert build["resolvedDependencies"][0]["uri"] == "pkg:deb/debian/web@1:1.0%2Bb1?arch=amd64&distro=debian-13"
    assert statement["predicate"]["runDetails"]["builder"]["id"] == "urn:x-oslet:builder:1.0"


def test_no_secret_is_stated(made: World) -> None:
    text = canonical(stated(made)).decode()
    assert "hunter2" not in text
    assert '"default":"you"' in text


@pytest.mark.parametrize("kind", MAKERS)
def test_a_signature_holds_until_a_byte_changes(kind: str, made: World, tmp_path: Path) -> None:
    secret, public = written(MAKERS[kind](), tmp_path)
    payload = canonical(stated(made))
    envelope = sign(payload, PAYLOAD, private_key(secret)[0])
    data = canonical(envelope)
    assert opened(data, PAYLOAD, public_key(public), where="w") == payload
    other = base64.b64encode(payload.replace(b"world", b"w0rld")).decode()
    for bad in (
        Envelope(PAYLOAD, other, envelope.signatures),
        Envelope(PAYLOAD, envelope.payload, ()),
        Envelope("text/plain", envelope.payload, envelope.signatures),
        Envelope(PAYLOAD, "?", envelope.signatures),
    ):
        with pytest.raises(IntegrityError):
            opened(canonical(bad), PAYLOAD, public_key(public), where="w")
    _, stranger = written(MAKERS[kind](), tmp_path)
    with pytest.raises(IntegrityError, match="not signed by this key"):
        opened(data, PAYLOAD, public_key(stranger), where="w")


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl here")
def test_openssl_agrees(tmp_path: Path) -> None:
    """An implementation that isn't ours checks what was signed, by DSSE's own description of it."""
    secret, public = written(MAKERS["ed25519"](), tmp_path)
    envelope = sign(b"{}", "kind", private_key(secret)[0])
    (tmp_path / "message").write_bytes(b"DSSEv1 4 kind 2 {}")
    (tmp_path / "signature").write_bytes(base64.b64decode(envelope.signatures[0].sig))
    words = ["-verify", "-pubin", "-inkey", str(public), "-rawin", "-in", "message", "-sigfile", "signature"]
    done = subprocess.run(["openssl", "pkeyutl", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@given(st.one_of(st.binary(), st.text().map(str.encode), st.just(b'{"payloadType":"","payload":"","signatures":[{}]}')))
def test_no_envelope_is_too_odd(data: bytes) -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"7" * 32).public_key()
    with pytest.raises(IntegrityError):
        opened(data, PAYLOAD, key, where="w")


@pytest.mark.parametrize("odd", [[], {}, {"_type": 1, "predicateType": 2, "subject": "x"}, {"subject": [{}]}, None])
def test_no_statement_is_too_odd(odd: Any) -> None:
    with pytest.raises(IntegrityError):
        check_subject(odd, "", where="w")


def test_a_statement_is_about_its_images_only(made: World) -> None:
    check_subject(stated(made), digest(made.image), where="w")
    with pytest.raises(IntegrityError, match="about other images"):
        check_subject(stated(made), "0" * 64, where="w")


def test_keys_that_are_none(tmp_path: Path) -> None:
    secret, public = written(MAKERS["ed25519"](), tmp_path)
    middle = secret.read_text().splitlines()[1]
    cases: list[tuple[str, bytes]] = [
        ("not a private key", public.read_bytes()),
        ("not a private key", secret.read_bytes()[:-40]),
        ("not a private key", b"x"),
        ("over 16 KiB", b"x" * (MAX_KEY + 1)),
        ("not a private key", _pem(rsa.generate_private_key(65537, 2048), PLAIN)),
        ("not a private key", _pem(ec.generate_private_key(ec.SECP384R1()), PLAIN)),
        ("encrypted", _pem(MAKERS["p256"](), serialization.BestAvailableEncryption(b"word"))),
    ]
    odd = tmp_path / "odd.pem"
    for what, data in cases:
        odd.write_bytes(data)
        with pytest.raises(DeclarationError) as error:
            private_key(odd)
        assert what in str(error.value)
        assert middle not in str(error.value)
        with pytest.raises(DeclarationError):
            public_key(secret)
    with pytest.raises(DeclarationError, match="can't read the key"):
        private_key(tmp_path / "none")


def _pem(key: Any, encryption: serialization.KeySerializationEncryption) -> bytes:
    data: bytes = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, encryption)
    return data


def test_a_key_that_others_can_read_is_said(tmp_path: Path) -> None:
    secret, _ = written(MAKERS["ed25519"](), tmp_path)
    assert private_key(secret)[1] is False
    secret.chmod(0o644)
    assert private_key(secret)[1] is True
