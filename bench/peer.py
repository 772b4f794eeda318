"""Somebody to call: a server of HTTP and TLS on this machine, with a certificate of its own made."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import ssl
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

HELLO = b"hello from the peer\n"
PAGES = {"/repo.git/info/refs": b"1" * 40 + b"\trefs/heads/main\n", "/repo.git/HEAD": b"ref: refs/heads/main\n"}
"""What a git client that knows no better protocol asks for (gitprotocol-http, the dumb way)."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A caller that refuses the certificate is a case's own affair."""


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = PAGES.get(self.path.partition("?")[0], HELLO)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def certificate(folder: Path) -> Path:
    """A self-signed certificate for localhost and its key, in one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now, hour = datetime.datetime.now(datetime.UTC), datetime.timedelta(hours=1)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - hour, now + 24 * hour)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "localhost.pem"
    pem.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem


@contextlib.contextmanager
def peer() -> Iterator[dict[str, str]]:
    """A peer for as long as the block lasts: its ports ``peer`` and ``tls``, and its certificate ``ca``."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as until:
        pem = certificate(Path(folder))
        ports: dict[str, str] = {}
        for name in ("peer", "tls"):
            server = Server(("127.0.0.1", 0), Answer)
            if name == "tls":
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(pem)
                server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            until.callback(server.server_close)
            until.callback(thread.join)
            until.callback(server.shutdown)
            ports[name] = str(server.server_address[1])
        text = pem.read_text()
        yield {**ports, "ca": text[: text.index("-----BEGIN PRIVATE")]}
