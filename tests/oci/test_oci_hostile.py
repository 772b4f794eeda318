"""Images and registries that mean harm, or only break."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oslet.archive.admit import admit
from oslet.archive.exchange import Exchange
from oslet.archive.registry import Pulled, pull
from oslet.build.oci import parcel
from oslet.errors import IntegrityError, NetworkError
from oslet.formats import oci
from oslet.formats.record import unpack
from oslet.formats.tar import Member, Writer
from oslet.store import Store
from tests.oci.world import World, small


def as_pulled(world: World) -> Pulled:
    made = parcel(world.image, world.digest, world.tree, world.store)
    manifest = oci.read_manifest(made.manifest, where="made")
    return Pulled(
        made.descriptor.digest,
        manifest,
        oci.read_config(made.blobs[0].path.read_bytes(), manifest, where="made"),
        made.blobs[1:],
    )


def with_layer(pulled: Pulled, folder: Path, members: list[tuple[Member, bytes]]) -> Pulled:
    """The image with its first layer replaced by one of ``members``, its digests all in order."""
    tar = io.BytesIO()
    writer = Writer(tar)
    for member, data in members:
        writer.add(member, (data,))
    writer.close()
    path = folder / "layer"
    path.write_bytes(gzip.compress(tar.getvalue()))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    blob = oci.Blob(oci.Descriptor(oci.LAYER_GZIP, f"sha256:{sha256}", path.stat().st_size), path)
    diffs = [f"sha256:{hashlib.sha256(tar.getvalue()).hexdigest()}", *pulled.config.rootfs.diff_ids[1:]]
    config = replace(pulled.config, rootfs=oci.RootFS("layers", diffs))
    return pulled._replace(config=config, layers=(blob, *pulled.layers[1:]))


APP = Member("/usr/bin/app", "file", 0o755, size=14)
GOOD = b"\x7fELF not quite"


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ([(Member("/usr/bin/.wh.app", "file"), b"")], "what the tree doesn't"),
        ([(Member("/usr/bin/more", "file", size=1), b"x")], "what the tree doesn't"),
        ([(APP._replace(mode=0o4755), GOOD)], "what the tree doesn't"),
        ([(APP._replace(kind="link", target="/etc/passwd", size=0), b"")], "what the tree doesn't"),
        ([(APP._replace(kind="hardlink", target="/etc/passwd", size=0), b"")], "a hard link"),
        ([(APP, GOOD), (APP, GOOD)], "two members for one file"),
        ([(APP._replace(xattrs=(("security.capability", b"x"),)), GOOD)], "what the tree doesn't"),
        ([(APP, b"another conten")], "no layer holds it|don't make the tree"),
        ([], "no layer holds it"),
    ],
)
def test_layers_that_are_not_the_tree(tmp_path: Path, members: list[tuple[Member, bytes]], what: str) -> None:
    world = small(tmp_path / "a")
    store = Store(tmp_path / "b")
    with pytest.raises(IntegrityError, match=what):
        admit(with_layer(as_pulled(world), tmp_path, members), store, where="x")
    assert store.images() == []


def test_foreign_images_are_for_later(tmp_path: Path) -> None:
    world = small(tmp_path)
    pulled = as_pulled(world)
    foreign = pulled._replace(config=replace(pulled.config, config=oci.Execution()))
    with pytest.raises(IntegrityError, match="not an image that oslet made"):
        admit(foreign, world.store, where="x")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_readers(data: bytes) -> None:
    for reads in (
        lambda: oci.read_manifest(data, where="x"),
        lambda: oci.read_index(data, where="x"),
        lambda: unpack(base64.b64encode(data).decode(), where="x"),
    ):
        with pytest.raises(IntegrityError):
            reads()


Answers = Callable[[BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]


@contextmanager
def server(answers: Answers) -> Iterator[str]:
    """A server that answers GET as told; yields ``127.0.0.1:PORT``."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, body = answers(self)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that hangs up is what some tests are about."""

    with Quiet(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def test_a_token_is_fetched_with_the_login_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    auth = tmp_path / "auth.json"
    monkeypatch.setenv("OSLET_REGISTRY_AUTH", str(auth))

    def answers(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        said = request.headers.get("Authorization", "")
        asked.append((request.path, said))
        if request.path.startswith("/token"):
            return 200, {}, b'{"token": "T0"}'
        if said != "Bearer T0":
            realm = f'Bearer realm="http://{request.headers["Host"]}/token",service="s",scope="repository:a:pull"'
            return 401, {"WWW-Authenticate": realm}, b"{}"
        return 404, {}, b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'

    with server(answers) as host:
        auth.write_text(json.dumps({"auths": {host: {"auth": base64.b64encode(b"u:p").decode()}}}))
        with pytest.raises(NetworkError, match="HTTP 404, MANIFEST_UNKNOWN"):
            pull(f"{host}/a:1", Store(tmp_path / "s"), architecture="amd64")
    assert asked[1] == ("/token?service=s&scope=repository%3Aa%3Apull", "Basic dTpw")
    assert asked[2] == ("/v2/a/manifests/1", "Bearer T0")


def test_redirects_take_no_login_along_and_end() -> None:
    seen: list[str | None] = []

    def elsewhere(request: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        seen.append(request.headers.get("Authorization"))
        return 200, {}, b"blob"

    with server(elsewhere) as other, server(lambda _: (307, {"Location": f"http://{other}/x"}, b"")) as first:
        answer = Exchange()("GET", f"http://{first}/", {"Authorization": "Basic x"})
        assert answer.read(10) == b"blob"
    assert seen == [None]
    with server(lambda _: (307, {"Location": "/again"}, b"")) as first, pytest.raises(NetworkError, match="redirects"):
        Exchange()("GET", f"http://{first}/", {})
    away = {"Location": "http://host.invalid/"}
    with server(lambda _: (307, away, b"")) as first, pytest.raises(NetworkError, match="plain HTTP"):
        Exchange()("GET", f"http://{first}/", {})


def test_it_asks_again_when_told_to_wait() -> None:
    slept: list[float] = []
    answers = iter([(503, {}, b""), (429, {"Retry-After": "7"}, b""), (200, {}, b"ok")])
    with server(lambda _: next(answers)) as host:
        assert Exchange(sleep=slept.append)("GET", f"http://{host}/", {}).read(10) == b"ok"
    assert slept == [0.2, 7.0]


def test_an_endless_manifest_is_cut_off(tmp_path: Path) -> None:
    with server(lambda _: (200, {}, bytes(5 << 20))) as host, pytest.raises(NetworkError, match="over 4194304 bytes"):
        pull(f"{host}/a:1", Store(tmp_path), architecture="amd64")
