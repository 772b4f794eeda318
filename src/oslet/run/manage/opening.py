"""Opening: where the door is, and who may come in, from the words that say so."""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oslet.errors import DeclarationError

SHORTEST = 16
"""Characters of a token that somebody made himself."""


def address(text: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``[HOST]:PORT`` as an IP address and a port; DeclarationError for what is none."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    try:
        found = ipaddress.ip_address("127.0.0.1" if bare == "localhost" else bare)
        number = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else -1
        if colon and 0 <= number < 65536 and (found.version == 6) == host.startswith("["):
            return str(found), number
    except ValueError:
        pass
    hint = "write 127.0.0.1:8400, [::1]:8400, or port 0 for one that is free"
    raise DeclarationError(f"{text!r} is no address to listen at", where="--listen", hint=hint)


def check(host: str, token: str) -> None:
    """DeclarationError where others could come, and nobody chose what they have to know."""
    if token and len(token) < SHORTEST:
        raise DeclarationError(f"a token has at least {SHORTEST} characters", where="--token")
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        raise DeclarationError("a token is of printable ASCII characters without spaces", where="--token")
    if not token and not ipaddress.ip_address(host).is_loopback:
        what = f"{host} can be reached from other machines, so the token is yours to choose"
        raise DeclarationError(what, where="--token", hint="--token @FILE; or listen at 127.0.0.1")


@contextmanager
def fresh(state: Path) -> Iterator[tuple[str, Path]]:
    """A token, and the file of this user's in which it stands meanwhile."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    token = secrets.token_urlsafe(32)
    path = state / f"manage-{os.getpid()}.token"
    path.unlink(missing_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "w") as stream:
            stream.write(f"{token}\n")
        yield token, path
    finally:
        path.unlink(missing_ok=True)
