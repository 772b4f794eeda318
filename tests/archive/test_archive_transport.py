"""Bytes over HTTP, as bad servers send them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from oslet.archive.transport import HttpTransport, Missing
from oslet.errors import IntegrityError, NetworkError

DATA = bytes(range(256)) * 4000


class Server(BaseHTTPRequestHandler):
    """Paths say how to misbehave: /whole, /breaks (each answer ends after 600 kB), /moved, /circle, /gone, /broken."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Range", "")))
        if self.path in ("/moved", "/circle"):
            return self._head(302, 0, Location="/whole" if self.path == "/moved" else "/circle")
        if self.path in ("/gone", "/broken"):
            return self._head(404 if self.path == "/gone" else 503, 0)
        start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if self.path != "/whole" else 0
        self._head(206 if start else 200, len(DATA) - start)
        if self.path == "/breaks":
            self.wfile.write(DATA[start : start + 600_000])
            self.close_connection = True
        else:
            self.wfile.write(DATA[start:])
        return None

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_http() -> None:
    transport = HttpTransport(timeout=5)
    limit = len(DATA)
    with serving() as url:
        for path in ("/whole", "/moved", "/breaks", "/whole"):
            assert b"".join(transport.get(url + path, limit=limit)) == DATA, path
        assert b"".join(transport.get(url + "/ranges", limit=limit, offset=1000)) == DATA[1000:]
        assert b"".join(transport.get(url + "/whole", limit=limit, offset=1000)) == DATA[1000:]
        with pytest.raises(Missing):
            list(transport.get(url + "/gone", limit=1))
        with pytest.raises(NetworkError, match="redirects"):
            list(transport.get(url + "/circle", limit=1))
        with pytest.raises(NetworkError, match="503"):
            list(transport.get(url + "/broken", limit=1))
        with pytest.raises(IntegrityError, match="more than"):
            list(transport.get(url + "/whole", limit=1000))
        assert next(iter(transport.get(url + "/whole", limit=limit)))
    with pytest.raises(NetworkError):
        list(transport.get(url + "/whole", limit=limit))


def test_folders(tmp_path: Path) -> None:
    path = tmp_path / "a file"
    path.write_bytes(DATA)
    transport = HttpTransport()
    assert b"".join(transport.get(str(path), limit=len(DATA))) == DATA
    assert b"".join(transport.get(path.as_uri(), limit=len(DATA), offset=9)) == DATA[9:]
    with pytest.raises(IntegrityError):
        list(transport.get(str(path), limit=5))
    with pytest.raises(Missing):
        list(transport.get(str(tmp_path / "gone"), limit=5))
    with pytest.raises(NetworkError, match="no way to read"):
        transport.get("ftp://example.org/x", limit=5)
