"""Being let in by a registry: Basic, and Bearer tokens from the authority that its challenge names.

The token flow is the distribution project's (https://distribution.github.io/distribution/spec/auth/token/).
"""

from __future__ import annotations

import re
import threading
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from oslet.archive.credentials import Login, login
from oslet.archive.exchange import Answer, Exchange
from oslet.codec import decode
from oslet.errors import NetworkError

_PAIR = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')


class _Token(Struct, frozen=True):
    token: str = ""
    access_token: str = ""


class Authority:
    """What to say to one repository's registry, learnt from its challenges. Used by several threads."""

    def __init__(self, host: str, repository: str, actions: str, exchange: Exchange) -> None:
        self._host = host
        self._repository = repository
        self._scope = f"repository:{repository}:{actions}"
        self._exchange = exchange
        self._said = ""
        self._lock = threading.Lock()

    def header(self) -> dict[str, str]:
        return {"Authorization": self._said} if self._said else {}

    def challenged(self, answer: Answer, said: dict[str, str]) -> bool:
        """Takes up the 401 that ``said`` met; whether there is now something new to say. NetworkError if refused."""
        scheme, _, rest = answer.headers.get("www-authenticate", "").strip().partition(" ")
        told = {match[1].lower(): match[2] or match[3] or "" for match in _PAIR.finditer(rest[:8192])}
        with self._lock:
            before = said.get("Authorization", "")
            if self._said != before:  # another thread was quicker
                return True
            who = login(self._host, self._repository)
            if scheme.lower() == "basic":
                self._said = who.basic() if who and who.user else ""
            elif scheme.lower() == "bearer" and "realm" in told:
                self._said = f"Bearer {self._token(told, who)}"
            return bool(self._said) and self._said != before

    def _token(self, told: dict[str, str], who: Login | None) -> str:
        realm = told["realm"]
        fields = {key: told[key] for key in ("service",) if key in told}
        fields["scope"] = told.get("scope") or self._scope
        if who and not who.user:
            form = {**fields, "grant_type": "refresh_token", "client_id": "oslet", "refresh_token": who.secret.reveal()}
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._exchange("POST", realm, kind, urlencode(form).encode())
        else:
            url = realm + ("&" if urlsplit(realm).query else "?") + urlencode(fields)
            answer = self._exchange("GET", url, {"Authorization": who.basic()} if who else {})
        data = answer.read(1 << 20)
        if answer.status != 200:
            raise NetworkError(
                f"the registry's authority gives no token (HTTP {answer.status})",
                where=f"{self._host}/{self._repository}",
                hint=f"docker login {self._host}, or podman login",
            )
        token = decode(data, _Token, where="the registry's authority")
        return token.token or token.access_token
