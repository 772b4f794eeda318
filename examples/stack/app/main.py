"""A page that says how often it was asked for."""

import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

REDIS = urlsplit(sys.argv[2])


def ask(command: str) -> str:
    """One command in Redis's own protocol, whose numbers come as ``:42``."""
    with socket.create_connection((REDIS.hostname, REDIS.port or 6379), 5) as connection:
        connection.sendall(f"{command}\r\n".encode())
        return connection.makefile().readline().strip().lstrip(":+")


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        said = ask("PING") if self.path == "/healthz" else f"visit {ask('INCR visits')}\n"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.encode())


signal.signal(signal.SIGTERM, lambda *_: sys.exit())
ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Page).serve_forever()
