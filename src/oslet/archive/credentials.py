"""Who the user is to a registry: the files that docker, podman and skopeo keep, and their helpers.

Read, in this order: ``$OSLET_REGISTRY_AUTH``, ``$REGISTRY_AUTH_FILE``, ``$XDG_RUNTIME_DIR/containers/auth.json``,
``$DOCKER_CONFIG/config.json`` (``~/.docker``); see containers-auth.json(5). ``credHelpers`` and ``credsStore`` name
programs ``docker-credential-NAME`` that are asked over stdin, as docker does.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct, field

from oslet.codec import decode
from oslet.errors import NetworkError
from oslet.model.instance import Secret

_MAX_FILE = 1 << 20
_HELPER = re.compile(r"[A-Za-z0-9_.-]+")


class Login(Struct, frozen=True):
    """A user and password, or an identity token alone (``user`` is empty then)."""

    user: str
    secret: Secret

    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret.reveal()}".encode()).decode()


class _Auth(Struct, frozen=True):
    auth: str = ""
    identitytoken: str = ""


class _File(Struct, frozen=True):
    auths: dict[str, _Auth] = {}
    helpers: dict[str, str] = field(name="credHelpers", default_factory=dict)
    store: str = field(name="credsStore", default="")


class _Helped(Struct, frozen=True, rename="pascal"):
    username: str
    secret: str


def login(registry: str, repository: str, environment: Mapping[str, str] = os.environ) -> Login | None:
    """The login for ``registry/repository``, the most specific entry of the first file that has one; None without.

    NetworkError if a file or helper can't be read; no message holds any of its content.
    """
    for path in _files(environment):
        try:
            with path.open("rb") as stream:
                data = stream.read(_MAX_FILE)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise NetworkError(f"can't read the logins: {error.strerror}", where=str(path)) from None
        if found := _look_up(decode(data, _File, where=str(path)), registry, repository, path):
            return found
    return None


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    for name in ("OSLET_REGISTRY_AUTH", "REGISTRY_AUTH_FILE"):
        if environment.get(name):
            yield Path(environment[name])
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers/auth.json"
    if folder := environment.get("DOCKER_CONFIG"):
        yield Path(folder) / "config.json"
    elif home := environment.get("HOME"):
        yield Path(home) / ".docker/config.json"


def _look_up(file: _File, registry: str, repository: str, path: Path) -> Login | None:
    if helper := file.helpers.get(registry):
        return _ask(helper, registry)
    parts = [registry, *repository.split("/")]
    names = ["/".join(parts[:count]) for count in range(len(parts), 0, -1)]
    for name in [*names, *(f"https://{registry}{end}" for end in ("", "/", "/v1/", "/v2/"))]:
        if (entry := file.auths.get(name)) and (entry.auth or entry.identitytoken):
            return _entry(entry, name, path)
    return _ask(file.store, registry) if file.store else None


def _entry(entry: _Auth, name: str, path: Path) -> Login:
    if entry.identitytoken:
        return Login("", Secret(entry.identitytoken))
    try:
        user, colon, password = base64.b64decode(entry.auth, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        raise NetworkError(f"the login for {name} is not base64 of USER:PASSWORD", where=str(path))
    return Login(user, Secret(password.rstrip("\0")))


def _ask(helper: str, registry: str) -> Login | None:
    program = f"docker-credential-{helper}"
    if not _HELPER.fullmatch(helper):
        raise NetworkError(f"{helper[:40]!r} is no name of a credential helper", where=registry)
    try:
        done = subprocess.run((program, "get"), input=registry.encode(), capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkError(f"{program} gives no login: {type(error).__name__}", where=registry) from None
    if done.returncode or len(done.stdout) > _MAX_FILE:
        return None
    helped = decode(done.stdout, _Helped, where=program)
    return Login("" if helped.username == "<token>" else helped.username, Secret(helped.secret))
