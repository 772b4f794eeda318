"""nginx, static sites and Python applications, asked over HTTP."""

from __future__ import annotations

import gzip
import http.server
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from oslet.catalog import Nginx, StaticSite

from .conftest import Port, Serve, module

pytestmark = [pytest.mark.slow, pytest.mark.network]


def get(url: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture
def application() -> Iterator[int]:
    """What stands behind a proxy: it says what it was asked."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"{self.path} {self.headers['Host']} {self.headers['X-Forwarded-For']}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The test's output is its own."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_nginx_passes_on_what_it_is_asked(serve: Serve, free_port: Port, application: int) -> None:
    served = serve(Nginx(port=free_port(), upstream=f"http://127.0.0.1:{application}", body="1KiB"))
    assert get(f"{served.url}/a?b=c", Host="shop.test") == (200, b"/a?b=c shop.test 127.0.0.1")
    big = urllib.request.Request(served.url, data=bytes(2000))
    with pytest.raises(urllib.error.HTTPError, match="413"):
        urllib.request.urlopen(big, timeout=20)
    alone = serve(Nginx(port=free_port(), upstream=f"http://127.0.0.1:{free_port()}"))
    assert get(alone.url)[0] == 502


def test_a_site_is_a_volume_or_part_of_the_image(serve: Serve, free_port: Port, tmp_path: Path) -> None:
    public = tmp_path / "public"
    public.mkdir()
    (public / "index.html").write_text("<h1>hello</h1>" * 200)
    tmp_path.chmod(0o755)
    served = serve(StaticSite(port=free_port()), volumes={"/srv/site": str(public)})
    code, packed = get(f"{served.url}/index.html", **{"Accept-Encoding": "gzip"})
    assert code == 200 and gzip.decompress(packed).startswith(b"<h1>hello")
    assert get(f"{served.url}/nothing")[0] == 404
    assert get(f"{served.url}/%2e%2e/%2e%2e/etc/passwd")[0] in (400, 404)
    text = (
        "from oslet.catalog import StaticSite\n\n\nclass Pages(StaticSite):\n"
        "    volumes = []\n    files = {**StaticSite.files, '/srv/site': './public'}\n"
    )
    pages = module(tmp_path / "pages_of_a_user.py", text).Pages
    own = serve(pages(port=free_port(), fallback="/index.html"))
    assert get(f"{own.url}/deep/link") == (200, b"<h1>hello</h1>" * 200)
    assert (tmp_path / "pages.lock").exists(), "a user's own class has its lock beside its module"


APPLICATIONS = """
from oslet.catalog import Asgi, Wsgi


class Async(Asgi):
    app = "app:asgi"
    files = {"/app": "./app"}


class Plain(Wsgi):
    app = "app:make()"
    files = {"/app": "./app"}
"""
APP = """
import os

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{scope['path']} {os.getuid()}".encode()})

def make():
    def wsgi(environ, start_response):
        start_response("200 OK", [])
        return [f"{environ['PATH_INFO']} {os.getuid()}".encode()]
    return wsgi
"""


def test_python_applications(serve: Serve, free_port: Port, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "app.py").write_text(APP)
    users = module(tmp_path / "applications_of_a_user.py", APPLICATIONS)
    for bound in (users.Async(port=free_port(), workers=2), users.Plain(port=free_port(), threads=2)):
        assert get(f"{serve(bound).url}/where") == (200, b"/where 33")
