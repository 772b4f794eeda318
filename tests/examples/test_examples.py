"""The six examples, built from the real archive, started, and used by real clients."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ..conftest import Oslet

pytestmark = [pytest.mark.slow, pytest.mark.network]

SUITES = pytest.mark.parametrize("suite", ["trixie", "bookworm"])
Port = Callable[[], int]


def ask(
    url: str, data: bytes | None = None, headers: dict[str, str] | None = None, trust: ssl.SSLContext | None = None
) -> str:
    request = urllib.request.Request(url, data, headers or {})
    with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
        text: str = answer.read().decode()
        return text


@SUITES
def test_hello(oslet: Oslet, suite: str) -> None:
    hello = oslet.example("hello", suite)
    assert oslet("run", str(hello)).stdout == "Hello, world!\n"
    assert oslet("run", str(hello), "--who", "you").stdout == "Hello, you!\n"


@SUITES
def test_redis(oslet: Oslet, free_port: Port, suite: str) -> None:
    import redis

    port = free_port()
    name = oslet.start(oslet.example("redis", suite), "--port", str(port))
    with redis.Redis(port=port) as client:
        assert client.set("answer", "42")
        assert client.get("answer") == b"42"
        assert client.config_get("maxmemory") == {"maxmemory": str(64 << 20)}
        assert client.eval("return redis.call('get', KEYS[1])", 1, "answer") == b"42"
    oslet("stop", name)
    assert oslet("wait", name).stdout == "0\n"


@SUITES
def test_nginx(oslet: Oslet, free_port: Port, certificate: tuple[Path, Path], suite: str) -> None:
    cert, key = certificate
    port, tls_port = free_port(), free_port()
    words = ("--port", str(port), "--tls-port", str(tls_port), "--certificate", f"@{cert}", "--key", f"@{key}")
    name = oslet.start(oslet.example("nginx", suite), *words)
    assert "one web site" in ask(f"http://127.0.0.1:{port}/")
    trust = ssl.create_default_context(cafile=str(cert))
    assert "one web site" in ask(f"https://localhost:{tls_port}/index.html", trust=trust)
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(f"http://127.0.0.1:{port}/nothing")
    assert refused.value.code == 404
    secret = key.read_text().splitlines()[1]
    assert secret not in oslet("logs", name).stdout
    assert secret not in json.dumps(oslet.json("ps", "--all"))


@contextlib.contextmanager
def tls_server(cert: Path, key: Path) -> Iterator[int]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"over TLS")

        def log_message(self, *_: object) -> None:
            """The test's output is its own."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@SUITES
def test_web(oslet: Oslet, free_port: Port, certificate: tuple[Path, Path], suite: str) -> None:
    from websockets.sync.client import connect

    cert, key = certificate
    port = free_port()
    oslet.start(oslet.example("web", suite), "--port", str(port), "--network", "host")
    base = f"http://127.0.0.1:{port}"
    assert json.loads(ask(f"{base}/healthz")) == {"status": "ok"}
    as_json = {"Content-Type": "application/json"}
    item = json.loads(ask(f"{base}/items", json.dumps({"name": "lamp", "price": 8}).encode(), as_json))
    assert item == {"name": "lamp", "price_with_tax": 10.0}
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"z" * 100_000 + b"\r\n--x--\r\n"
    )
    sent = json.loads(ask(f"{base}/upload", body, {"Content-Type": "multipart/form-data; boundary=x"}))
    assert sent["size"] == 100_000
    with connect(f"ws://127.0.0.1:{port}/echo") as socket:
        socket.send("quiet")
        assert socket.recv() == "QUIET"
    with tls_server(cert, key) as tls_port:
        call = {"url": f"https://localhost:{tls_port}/", "ca": cert.read_text()}
        called = json.loads(ask(f"{base}/call", json.dumps(call).encode(), as_json))
    assert (called["status"], called["body"]) == (200, "over TLS")
    assert called["system_certificates"] > 50


@SUITES
def test_flask(oslet: Oslet, free_port: Port, suite: str) -> None:
    port = free_port()
    oslet.start(oslet.example("flask", suite), "--port", str(port), "--greeting", "Good day", "--workers", "2")
    answers = [json.loads(ask(f"http://127.0.0.1:{port}/")) for _ in range(10)]
    assert {a["greeting"] for a in answers} == {"Good day"}


@SUITES
def test_postgres(oslet: Oslet, free_port: Port, suite: str, tmp_path: Path) -> None:
    import psycopg

    port = free_port()
    password = tmp_path / "password"
    password.write_text("correct horse")
    postgres = oslet.example("postgres", suite)
    words = ("--port", str(port), "--password", f"@{password}", "-v", f"{tmp_path.name}:/var/lib/postgresql/data")
    url = f"host=127.0.0.1 port={port} user=postgres password='correct horse'"
    name = oslet.start(postgres, *words)
    with psycopg.connect(url) as connection:
        connection.execute("create table kept (n int)")
        connection.execute("insert into kept values (42)")
    oslet("stop", name)
    oslet("rm", name)
    oslet.started.remove(name)
    oslet.start(postgres, *words)
    with psycopg.connect(url) as connection:
        assert connection.execute("select n from kept").fetchone() == (42,)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url.replace("correct", "wrong"))


def test_no_port_is_open_after_the_end(oslet: Oslet, free_port: Port) -> None:
    port = free_port()
    name = oslet.start(oslet.example("redis"), "--port", str(port))
    oslet("stop", name)
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port, timeout=5).connect()
