"""How bytes come from a URL or a folder: the standard library's HTTP client, kept alive per thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from oslet.errors import IntegrityError, NetworkError

if TYPE_CHECKING:  # 20 ms to import, which a look into a kept index need not pay
    from http.client import HTTPConnection, HTTPResponse

CHUNK = 1 << 18
TIMEOUT = 30.0
"""Seconds without a byte after which a server counts as gone."""
ATTEMPTS = 3
REDIRECTS = 5


class Transport(Protocol):
    """How bytes are read from a URL, at most ``limit`` of them, from ``offset`` on."""

    def get(self, url: str, *, limit: int, offset: int = 0) -> Iterator[bytes]: ...


class Missing(NetworkError):  # noqa: N818 (a NetworkError by its parent)
    """The server answers, and has no such file."""


class HttpTransport:
    """http:, https: and file: URLs and plain paths. Threads may share it; ``http_proxy`` and its kin are respected.

    A transfer that breaks off is taken up where it broke. Raises NetworkError (``Missing`` for a 404), and
    IntegrityError when there are more than ``limit`` bytes.
    """

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._local = threading.local()

    def get(self, url: str, *, limit: int, offset: int = 0) -> Iterator[bytes]:
        scheme = urlsplit(url).scheme
        if scheme in ("http", "https"):
            return self._http(url, limit, offset)
        if scheme == "file" or url.startswith(("/", ".")):
            return _folder(local_path(url), limit, offset)
        raise NetworkError(
            f"no way to read a {scheme or 'relative'} address", where=url, hint="use http, https or file"
        )

    def _http(self, url: str, limit: int, offset: int) -> Iterator[bytes]:
        from http.client import HTTPException

        done = 0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._open(url, offset + done)
                length = response.length
                got = 0
                while chunk := response.read(CHUNK):
                    got += len(chunk)
                    done += len(chunk)
                    if done > limit:
                        self._drop()
                        raise IntegrityError(f"more than the {limit} bytes it should have", where=url)
                    yield chunk
                if length is None or got >= length:
                    return
                raise HTTPException(f"it broke off after {got} of {length} bytes")
            except (OSError, HTTPException) as error:
                self._drop()
                if attempt == ATTEMPTS:
                    raise NetworkError(
                        f"can't be read: {_said(error)}", where=url, hint="check the network, or set another mirror"
                    ) from None
                time.sleep(0.2 * attempt)
            except GeneratorExit:  # the reader has enough: what is left of the answer would spoil the connection
                self._drop()
                raise

    def _open(self, url: str, offset: int) -> HTTPResponse:
        """The answer to a GET, redirects followed, positioned at ``offset``."""
        place = url
        for _ in range(REDIRECTS + 1):
            parts = urlsplit(place)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise NetworkError("redirected to what is no HTTP address", where=url)
            response = self._ask(parts, place, offset)
            if response.status in (301, 302, 303, 307, 308) and (target := response.getheader("Location")):
                response.read(CHUNK)
                place = urljoin(place, target)
                if parts.scheme == "https" and not place.startswith("https:"):
                    raise NetworkError("redirected from https to http", where=url)
                continue
            return self._positioned(response, url, offset)
        raise NetworkError(f"more than {REDIRECTS} redirects", where=url)

    def _positioned(self, response: HTTPResponse, url: str, offset: int) -> HTTPResponse:
        from http.client import HTTPException

        if response.status == 200:
            left = offset  # a server without ranges starts over
            while left and (chunk := response.read(min(left, CHUNK))):
                left -= len(chunk)
            return response
        if response.status == 206 and offset:
            return response
        self._drop()
        if response.status in (404, 410):
            raise Missing("the server has no such file", where=url)
        if response.status >= 500:
            raise HTTPException(f"the server answers {response.status} {response.reason}")
        raise NetworkError(f"the server answers {response.status} {response.reason}", where=url)

    def _ask(self, parts: SplitResult, url: str, offset: int) -> HTTPResponse:
        connection, through_proxy = self._connection(parts)
        target = url if through_proxy else (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"User-Agent": "oslet", "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        if through_proxy:
            headers["Host"] = parts.netloc.rpartition("@")[2]
        connection.request("GET", target, headers=headers)
        return connection.getresponse()

    def _connection(self, parts: SplitResult) -> tuple[HTTPConnection, bool]:
        """This thread's connection to that server, and whether requests on it name the whole URL (an HTTP proxy)."""
        from http.client import HTTPConnection, HTTPSConnection
        from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

        host, port = parts.hostname or "", parts.port
        proxies = getproxies_environment()
        proxy = None if proxy_bypass_environment(parts.netloc, proxies) else proxies.get(parts.scheme)
        known: dict[tuple[str, str, int | None, str | None], HTTPConnection]
        known = self._local.__dict__.setdefault("connections", {})
        key = (parts.scheme, host, port, proxy)
        if key not in known:
            kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
            if proxy:
                via = urlsplit(proxy if "//" in proxy else f"//{proxy}")
                known[key] = kind(via.hostname or "", via.port or 3128, timeout=self._timeout)
                if parts.scheme == "https":
                    known[key].set_tunnel(host, port or 443)
            else:
                known[key] = kind(host, port, timeout=self._timeout)
        return known[key], bool(proxy) and parts.scheme == "http"

    def _drop(self) -> None:
        """Closes this thread's connections: after a failure their state is unknown."""
        for connection in self._local.__dict__.pop("connections", {}).values():
            connection.close()


def local_path(url: str) -> Path:
    """The path that a file: URL or a plain path names."""
    return Path(unquote(urlsplit(url).path)) if url.startswith("file:") else Path(url)


def _folder(path: Path, limit: int, offset: int) -> Iterator[bytes]:
    done = 0
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            while chunk := stream.read(CHUNK):
                done += len(chunk)
                if done > limit:
                    raise IntegrityError(f"more than the {limit} bytes it should have", where=str(path))
                yield chunk
    except FileNotFoundError:
        raise Missing("there is no such file", where=str(path)) from None
    except OSError as error:
        raise NetworkError(f"can't be read: {error.strerror}", where=str(path)) from None


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
