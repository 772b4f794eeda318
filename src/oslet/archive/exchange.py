"""HTTP exchanges as registries want them: any verb, request bodies from files, headers both ways, bounded answers.

Over the standard library's ``http.client``, a connection a thread and host. Redirects are followed for reading only,
and take no Authorization along to another host. Plain HTTP is spoken to this machine only, unless told otherwise.
"""

from __future__ import annotations

import http.client
import ipaddress
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.parse import urljoin, urlsplit

from oslet.errors import NetworkError

TIMEOUT = 60.0
ATTEMPTS = 4
MAX_REDIRECTS = 5
MAX_WAIT = 20.0

Body: TypeAlias = bytes | Path
_Place: TypeAlias = tuple[str, str, int | None]


class Answer(NamedTuple):
    """An answer: its status, headers by lower-case name, the URL that gave it, and its body in bounded pieces."""

    status: int
    headers: dict[str, str]
    url: str
    chunks: Iterator[bytes]

    def read(self, limit: int) -> bytes:
        """The whole body; NetworkError if it is over ``limit`` bytes."""
        data = bytearray()
        for chunk in self.chunks:
            data += chunk
            if len(data) > limit:
                raise NetworkError(f"the answer is over {limit} bytes", where=self.url)
        return bytes(data)


def loopback(host: str) -> bool:
    """Whether ``host`` is this machine by name or address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Exchange:
    """One client's connections. ``insecure`` allows plain HTTP to other machines."""

    def __init__(self, *, insecure: bool = False, sleep: Callable[[float], None] = time.sleep) -> None:
        self._insecure = insecure
        self._sleep = sleep
        self._local = threading.local()
        self._open: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def __call__(self, verb: str, url: str, headers: Mapping[str, str], body: Body = b"") -> Answer:
        """Ask, again after 429 and 5xx and broken connections; follow redirects of GET and HEAD.

        Raises NetworkError when there is no answer, or one that leads somewhere it may not. An answer's body must be
        read, or the thread's next request to that host drops its connection.
        """
        given = dict(headers)
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._patiently(verb, url, given, body)
            location = answer.headers.get("location")
            if verb not in ("GET", "HEAD") or answer.status not in (301, 302, 303, 307, 308) or not location:
                return answer
            answer.read(1 << 20)
            following = urljoin(url, location)
            if _place(following) != _place(url):
                given = {k: v for k, v in given.items() if k.lower() != "authorization"}
            if urlsplit(url).scheme == "https" and urlsplit(following).scheme != "https":
                raise NetworkError("redirected from https to plain http", where=url)
            url = following
        raise NetworkError(f"more than {MAX_REDIRECTS} redirects", where=url)

    def close(self) -> None:
        with self._lock:
            for connection in self._open:
                connection.close()
            self._open.clear()

    def _patiently(self, verb: str, url: str, headers: Mapping[str, str], body: Body) -> Answer:
        for attempt in range(1, ATTEMPTS + 1):
            wait = 0.2 * 4 ** (attempt - 1)
            try:
                answer = self._once(verb, url, headers, body)
            except (OSError, http.client.HTTPException) as error:
                self._forget(url)
                if attempt == ATTEMPTS or isinstance(error, ssl.SSLCertVerificationError):
                    raise NetworkError(f"no answer: {error or type(error).__name__}", where=_shown(url)) from None
            else:
                if (answer.status != 429 and answer.status < 500) or attempt == ATTEMPTS:
                    return answer
                self._forget(url)
                asked = answer.headers.get("retry-after", "")
                wait = max(wait, float(asked)) if asked.isdecimal() else wait
            self._sleep(min(wait, MAX_WAIT))
        raise AssertionError("unreachable")

    def _once(self, verb: str, url: str, headers: Mapping[str, str], body: Body) -> Answer:
        connection = self._connection(url)
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {"User-Agent": "oslet", **headers}
        if isinstance(body, Path):
            sent["Content-Length"] = str(body.stat().st_size)
            with body.open("rb") as stream:
                connection.request(verb, target, body=stream, headers=sent)
        else:
            connection.request(verb, target, body=body or None, headers=sent)
        response = connection.getresponse()
        self._answers()[_place(url)] = response
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, received, url, self._chunks(response, url))

    def _chunks(self, response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
        try:
            while chunk := response.read(256 << 10):
                yield chunk
        except (OSError, http.client.HTTPException) as error:
            self._forget(url)
            raise NetworkError(f"the answer broke off: {error}", where=_shown(url)) from None

    def _connection(self, url: str) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
            raise NetworkError("not an address that a registry can have", where=_shown(url))
        if parts.scheme == "http" and not (self._insecure or loopback(host)):
            raise NetworkError(
                f"{host} would be spoken to in plain HTTP", where=_shown(url), hint="--insecure allows it"
            )
        last = self._answers().get(_place(url))
        if last is not None and not last.isclosed():
            self._forget(url)  # its answer was left unread
        connection = self._connections().get(_place(url))
        if connection is None:
            connection = _connect(parts.scheme, host, parts.port)
            self._connections()[_place(url)] = connection
            with self._lock:
                self._open.append(connection)
        return connection

    def _connections(self) -> dict[_Place, http.client.HTTPConnection]:
        """This thread's, by where they lead."""
        found: dict[_Place, http.client.HTTPConnection] = self._local.__dict__.setdefault("connections", {})
        return found

    def _answers(self) -> dict[_Place, http.client.HTTPResponse]:
        """This thread's last answers."""
        found: dict[_Place, http.client.HTTPResponse] = self._local.__dict__.setdefault("answers", {})
        return found

    def _forget(self, url: str) -> None:
        self._answers().pop(_place(url), None)
        connection = self._connections().pop(_place(url), None)
        if connection is not None:
            connection.close()


def _connect(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    """A connection to ``host``, through the environment's proxy where it names one (http.client knows none)."""
    from urllib.request import getproxies, proxy_bypass

    proxy = "" if loopback(host) or proxy_bypass(host) else getproxies().get(scheme, "")
    via = urlsplit(proxy if "//" in proxy else f"//{proxy}") if proxy else None
    to, at = (via.hostname or "", via.port or 80) if via else (host, port)
    if scheme == "http":
        connection = http.client.HTTPConnection(to, at, timeout=TIMEOUT)
    else:
        connection = http.client.HTTPSConnection(to, at, timeout=TIMEOUT, context=ssl.create_default_context())
    if via:
        connection.set_tunnel(host, port or (443 if scheme == "https" else 80))
    return connection


def _place(url: str) -> _Place:
    parts = urlsplit(url)
    try:
        return parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        raise NetworkError("not an address that a registry can have", where=_shown(url)) from None


def _shown(url: str) -> str:
    """The URL without its query, which may hold a token."""
    return url.partition("?")[0][:200]
