"""Serving: the door. Whoever comes has to show the token; what comes is bounded in size, number and time.

One connection is one request (``Connection: close``), so that none who is idle takes another's place.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from oslet.codec import canonical
from oslet.errors import DeclarationError, OsletError, RunError
from oslet.run import records
from oslet.run.manage.answers import LARGEST, ROUTES, Asked, Nothing, Route
from oslet.run.manage.openapi import Fault, Refusal, document

AT_ONCE = 16
"""Requests that are seen to at the same time."""
_BODY = LARGEST * 4 // 3 + (64 << 10)
_PATIENCE = 30.0
"""Seconds in which a request has to have come whole."""
_DEEPEST = 16
_FIELDS = 16


class RefusedError(Exception):
    """An answer that isn't what was asked for."""

    def __init__(self, status: int, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.status = status
        self.faults = (Fault(what, where, hint),)


class Door(ThreadingHTTPServer):
    """Listens at ``address``, for who knows the token, to requests about the ``managed`` instances (their names)."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        state: Path,
        managed: tuple[str, ...],
        token: str,
        *,
        read_only: bool = False,
        version: str = "",
        notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.state = state
        self.managed = managed
        self.read_only = read_only
        self.notice = notice
        self.described = canonical(document(version))
        self._token = hashlib.sha256(token.encode()).digest()
        self._places = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Without the look-up of this machine's name that the base class makes."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def knows(self, said: str) -> bool:
        """Whether a token is the one, in a time that tells nothing of it."""
        return hmac.compare_digest(hashlib.sha256(said.encode("utf-8", "replace")).digest(), self._token)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            request.settimeout(1)
            Handler.turned_away(request)
            return self.shutdown_request(request)
        return super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no fault."""


class _Within(io.RawIOBase):
    """What comes over a connection until the time is up."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._until = time.monotonic() + _PATIENCE

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.settimeout(max(0.001, self._until - time.monotonic()))
        return self._connection.recv_into(buffer)


class Handler(BaseHTTPRequestHandler):
    """One request. Every answer is JSON."""

    server: Door
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "oslet", ""

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_Within(self.connection))

    def serve(self) -> None:
        try:
            self.tell(200, self._answered())
        except RefusedError as error:
            self.tell(error.status, canonical(Refusal(error.faults)))
        except OsletError as error:
            faults = tuple(Fault(*fault) for fault in error.faults)
            self.tell(_status(error), canonical(Refusal(faults)))
        except (OSError, EOFError):
            raise  # the client's end
        except Exception as error:
            self.server.notice(f"a fault of oslet's own: {type(error).__name__}: {error}")
            self.tell(500, canonical(Refusal((Fault("a fault of oslet's own"),))))

    do_GET = do_POST = do_PUT = do_DELETE = serve  # noqa: N815

    def _answered(self) -> bytes:
        place = urlsplit(self.path)
        if (self.command, place.path) == ("GET", "/openapi.json"):
            return self.server.described
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self.server.knows(token.strip()):
            raise RefusedError(401, "the token is missing or wrong", hint="Authorization: Bearer TOKEN")
        route, words = _routed(self.command, place.path)
        if route.changes and self.server.read_only:
            raise RefusedError(403, "this door is read-only")
        name = words.get("instance", "")
        if name and name not in self.server.managed:
            raise RefusedError(404, f"no instance {name[:60]!r} is managed here")
        query = _query(route, place.query)
        body = msgspec.convert({}, Nothing) if route.body is Nothing else _decoded(self._body(), route.body)
        reference = records.find(self.server.state, name)[1].id if name else ""
        asked = Asked(self.server.state, self.server.managed, reference, _number(words), query, body)
        try:
            return canonical(route.answer(asked))
        except OSError as error:
            raise RefusedError(409, f"it has ended meanwhile: {error.strerror}") from None

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding"):
            raise RefusedError(411, "a body says its length before it comes", where="Content-Length")
        text = self.headers.get("Content-Length", "0")
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise RefusedError(400, "no length", where="Content-Length")
        if int(text) > _BODY:
            raise RefusedError(413, f"a body has at most {_BODY} bytes")
        data = self.rfile.read(int(text))
        if len(data) < int(text):
            raise EOFError
        return data

    def tell(self, status: int, data: bytes) -> None:
        self.connection.settimeout(_PATIENCE)
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.send_header("Cache-Control", "no-store")
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class says of a request that it can't read."""
        status = 405 if code == HTTPStatus.NOT_IMPLEMENTED else code
        self.command = self.command or "GET"
        self.tell(status, canonical(Refusal((Fault(message or HTTPStatus(status).phrase),))))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: what is asked is its asker's affair, and a token may stand where it doesn't belong."""

    @staticmethod
    def turned_away(connection: socket.socket) -> None:
        data = canonical(Refusal((Fault(f"{AT_ONCE} requests are seen to already", "", "ask again"),)))
        head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
        try:
            connection.sendall(f"{head}Retry-After: 1\r\nConnection: close\r\n\r\n".encode() + data)
        except OSError:
            return


def _routed(method: str, path: str) -> tuple[Route, dict[str, str]]:
    parts = [unquote(part) for part in path.split("/")[:_DEEPEST]]
    found = [(route, words) for route in ROUTES if (words := _words(route, parts)) is not None]
    for route, words in found:
        if route.method == method:
            return route, words
    if found:
        raise RefusedError(405, f"there it is {', '.join(sorted({route.method for route, _ in found}))}")
    raise RefusedError(404, "there is no such path", hint="GET /openapi.json says which there are")


def _words(route: Route, parts: list[str]) -> dict[str, str] | None:
    pattern = route.path.split("/")
    if len(pattern) != len(parts):
        return None
    words = {}
    for word, part in zip(pattern, parts):
        if word.startswith("{"):
            words[word.strip("{}")] = part
        elif word != part:
            return None
    return words


def _number(words: Mapping[str, str]) -> int:
    text = words.get("pid", "0")
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    raise RefusedError(400, "a process is a number", where="pid")


def _query(route: Route, text: str) -> Any:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=_FIELDS)
        return msgspec.convert(dict(pairs), route.query, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        raise RefusedError(400, str(error), where="query") from None


def _decoded(data: bytes, shape: type[Any]) -> Any:
    try:
        return msgspec.json.decode(data or b"{}", type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(400, str(error), where="body") from None


def _status(error: OsletError) -> int:
    if isinstance(error, DeclarationError):
        return 422
    if not isinstance(error, RunError):
        return 500
    missing = ("there is no instance", "No such file or directory")
    return 404 if error.what.startswith(missing[0]) or error.what.endswith(missing[1]) else 409
