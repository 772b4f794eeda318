"""TLS, HTTP and the other ways to talk, all within the instance."""

import contextlib
import datetime
import http.client
import http.server
import os
import select
import socket
import ssl
import threading
import urllib.request


@contextlib.contextmanager
def _serving(handler, tls=None, family=socket.AF_INET):
    class Server(http.server.ThreadingHTTPServer):
        address_family = family

    server = Server(
        "/tmp/http.sock" if family == socket.AF_UNIX else ("127.0.0.1", 0), handler, bind_and_activate=False
    )
    server.server_name = server.server_port = ""
    if family == socket.AF_UNIX:
        server.socket.bind("/tmp/http.sock")
        server.server_activate()
    else:
        server.server_bind()
        server.server_activate()
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Path", self.path)
        self.end_headers()
        self.wfile.write(b"hello")

    def address_string(self):
        return ""

    def log_message(self, *_):
        pass


def _certificate():
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
        key, hashes.SHA256()
    )
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open("/tmp/tls.pem", "wb") as stream:
        stream.write(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*private))
    return "/tmp/tls.pem"


def _server_context(pem):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def trusted_authorities():
    context = ssl.create_default_context()
    return [context.cert_store_stats(), len(context.get_ca_certs()) > 50]


def trusted_where():
    return [
        list(map(str, ssl.get_default_verify_paths())),
        os.path.exists("/etc/ssl/certs/ca-certificates.crt"),
        len(os.listdir("/etc/ssl/certs")),
    ]


def tls_words():
    context = ssl.create_default_context()
    flags = ("HAS_ALPN", "HAS_SNI", "HAS_TLSv1_3", "HAS_ECDH")
    return [
        ssl.OPENSSL_VERSION,
        [c["name"] for c in context.get_ciphers()],
        [getattr(ssl, f) for f in flags],
        context.minimum_version,
    ]


def tls_both_ends():
    pem = _certificate()
    trust = ssl.create_default_context(cafile=pem)
    with _serving(_Hello, _server_context(pem)) as (_, port):
        with urllib.request.urlopen(f"https://localhost:{port}/x", context=trust) as got:
            first = [got.status, got.read().decode(), got.headers["X-Path"]]
        with (
            socket.create_connection(("localhost", port)) as plain,
            trust.wrap_socket(plain, server_hostname="localhost") as talk,
        ):
            return [*first, talk.version(), talk.cipher()]


def tls_refused():
    with _serving(_Hello, _server_context(_certificate())) as (_, port):
        try:
            urllib.request.urlopen(f"https://localhost:{port}/")
        except urllib.error.URLError as error:
            return [error.reason.reason, error.reason.verify_message]


def tls_certificate_of_server():
    pem = _certificate()
    with _serving(_Hello, _server_context(pem)) as address:
        return ssl.get_server_certificate(address) in open(pem).read()


def http_plain():
    with _serving(_Hello) as (_, port):
        talk = http.client.HTTPConnection("localhost", port, timeout=9)
        talk.request("GET", "/a?b")
        got = talk.getresponse()
        return [got.status, got.reason, got.headers["X-Path"], got.headers["Server"], got.read().decode()]


def http_static_files():
    os.makedirs("/tmp/www", exist_ok=True)
    for name in ("a.webp", "a.woff2", "index.html"):
        with open(f"/tmp/www/{name}", "w") as stream:
            stream.write("x")

    class Files(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words):
            super().__init__(*words, directory="/tmp/www")

        def log_message(self, *_):
            pass

    with _serving(Files) as (_, port):
        urls = [f"http://localhost:{port}/{n}" for n in ("a.webp", "a.woff2", "")]
        return [urllib.request.urlopen(u).headers["Content-Type"] for u in urls]


def http_over_unix_socket():
    with _serving(_Hello, family=socket.AF_UNIX) as path, socket.socket(socket.AF_UNIX) as talk:
        talk.connect(path)
        talk.sendall(b"GET /u HTTP/1.0\r\n\r\n")
        with talk.makefile("rb") as stream:
            return stream.read().decode().splitlines()[-1]


def urls_of_other_kinds():
    with open("/tmp/f.webp", "w") as stream:
        stream.write("from a file")
    said = [urllib.request.urlopen(u).read().decode() for u in ("file:///tmp/f.webp", "data:text/plain,from%20data")]
    return said + [urllib.request.urlopen("file:///tmp/f.webp").headers["Content-Type"]]


def wsgi():
    from wsgiref.simple_server import WSGIRequestHandler, make_server
    from wsgiref.validate import validator

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_):
            pass

    def application(environ, start):
        start("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    with make_server("127.0.0.1", 0, validator(application), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/w") as got:
            said = got.read().decode()
        thread.join()
        return said


def remote_calls():
    import xmlrpc.client
    import xmlrpc.server

    with xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False) as server:
        server.register_function(pow)
        server.register_introspection_functions()
        thread = threading.Thread(target=lambda: [server.handle_request() for _ in range(2)])
        thread.start()
        with xmlrpc.client.ServerProxy(f"http://127.0.0.1:{server.server_address[1]}") as proxy:
            said = [proxy.pow(2, 5), "pow" in proxy.system.listMethods()]
        thread.join()
        return said


def socket_families():
    found = {}
    for family in ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET", "AF_ALG", "AF_VSOCK"):
        try:
            with socket.socket(
                getattr(socket, family),
                socket.SOCK_STREAM if family in ("AF_INET", "AF_INET6", "AF_UNIX") else socket.SOCK_RAW,
            ):
                found[family] = "made"
        except OSError as error:
            found[family] = error.strerror
    return found


def waiting_for_sockets():
    left, right = socket.socketpair()
    poll, epoll = select.poll(), select.epoll()
    poll.register(right, select.POLLIN)
    epoll.register(right, select.EPOLLIN)
    left.send(b"x")
    return [len(poll.poll(1000)), len(epoll.poll(1)), len(select.select([right], [], [], 1)[0])]


def sent_file():
    left, right = socket.socketpair()
    with open("/tmp/s", "w+b") as stream:
        stream.write(b"hello")
        stream.seek(0)
        sent = left.sendfile(stream)
        return [sent, right.recv(9).decode(), os.sendfile(left.fileno(), stream.fileno(), 1, 3), right.recv(9).decode()]


def descriptors_over_socket():
    left, right = socket.socketpair(socket.AF_UNIX)
    socket.send_fds(left, [b"x"], [os.open("/dev/null", os.O_RDONLY)])
    said, descriptors, _, _ = socket.recv_fds(right, 9, 1)
    return [said.decode(), os.readlink(f"/proc/self/fd/{descriptors[0]}")]


def datagrams():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as left,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as right,
    ):
        right.bind(("127.0.0.1", 0))
        left.sendto(b"x", right.getsockname())
        return right.recv(9).decode()
