"""One page over HTTP/1.0, by the standard library's socketserver."""

import socketserver


class Page(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        method, path, *_ = self.rfile.readline(8192).split() or (b"", b"")
        while self.rfile.readline(8192).strip():
            pass
        body = b"hello from %s\n" % path
        self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body * (method == b"GET"))


class Server(socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 128


with Server(("", 8080), Page) as server:
    server.serve_forever()
