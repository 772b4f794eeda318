"""The transcripts of ``nginx``, ``web``, ``flask`` and ``postgres``: servers, with secrets and files of their own."""

from __future__ import annotations

import json
import ssl
import tarfile
import uuid
from io import BytesIO
from pathlib import Path
from typing import Any

from bench.machines.forms import Host, Life
from bench.machines.transcript import Hearing, distinct, free_port, health, http_said, told, until

PASSWORD = "correct horse"
PLACES = """\
import grp, json, os, pwd, resource, socket, ssl, sys, tempfile
def raised(call, *words):
    try: call(*words); return "done"
    except Exception as error: return type(error).__name__
print(json.dumps({
    "argv": sys.argv, "cwd": os.getcwd(), "umask": os.umask(0o22), "user": [os.getuid(), os.getgid(), os.getgroups()],
    "named": [pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name],
    "env": {n: v for n, v in os.environ.items() if n != "HOSTNAME"}, "fds": sorted(os.listdir("/proc/self/fd"))[:3],
    "root": sorted(os.listdir("/")), "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    "name": socket.gethostname(), "localhost": sorted({a[4][0] for a in socket.getaddrinfo("localhost", 80)}),
    "authorities": ssl.create_default_context().cert_store_stats()["x509_ca"] > 50, "tmp": tempfile.gettempdir(),
    "app": raised(open, "/app/new", "w"), "stdin": sys.stdin.read(),
    "nobody": raised(socket.getaddrinfo, "no.invalid", 80),
    "maps": raised(open, "/proc/1/mem", "rb"), "clock": 2024 < __import__("time").gmtime().tm_year < 2100,
    "python": sys.version_info[:2], "random": len(os.urandom(99)), "platform": [sys.platform, os.uname().machine],
}))
"""
CHILDREN = """\
import asyncio, json, multiprocessing, os, signal, subprocess, sys, threading
def double(n): return 2 * n
heard = []
signal.signal(signal.SIGUSR1, lambda n, _: heard.append(n)); os.kill(os.getpid(), signal.SIGUSR1)
child = subprocess.run([sys.executable, "-c", "raise SystemExit(int(input()))"], input="9", text=True)
ends = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]); ends.terminate()
with multiprocessing.get_context("fork").Pool(2) as pool: pooled = pool.map(double, range(5))
threads = [threading.Thread(target=heard.append, args=(n,)) for n in range(3)]
for each in threads: each.start(); each.join()
async def loop():
    made = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(6 * 7)", stdout=-1)
    return (await made.communicate())[0].decode(), await asyncio.to_thread(double, 4)
print(json.dumps([heard, child.returncode, ends.wait(), pooled, asyncio.run(loop())]))
sys.stderr.write("to stderr\\n"); sys.exit(3)
"""


def nginx(hearing: Hearing, pair: Path) -> None:
    """A site over HTTP and TLS; its key is a secret, its configuration is rendered."""
    host, port, tls = hearing.host, free_port(), free_port()
    words = ("-p", f"127.0.0.1:{port}:8080", "-p", f"127.0.0.1:{tls}:8443")
    given = ("--certificate", f"@{pair / 'cert.pem'}", "--key", f"@{pair / 'key.pem'}")
    trust = ssl.create_default_context(cafile=str(pair / "cert.pem"))
    with host.started(hearing.image, *words, *given) as life:
        hearing.hear("index", lambda: http_said(port))
        hearing.hear("head", lambda: http_said(port, method="HEAD"))
        hearing.hear("part", lambda: http_said(port, "/index.html", headers={"Range": "bytes=2-9"}))
        hearing.hear("nothing", lambda: http_said(port, "/nothing"))
        hearing.hear("outside", lambda: http_said(port, "/../etc/passwd")[0])
        hearing.hear("over TLS", lambda: http_said(tls, trust=trust))
        hearing.hear("many", lambda: len({str(http_said(port)) for _ in range(50)}))
        hearing.hear("version", lambda: life.exec("nginx", "-v"))
        hearing.hear("wrong", lambda: life.exec("nginx", "-Z", stdin=b"x"))
        hearing.hear("rendered", lambda: _fetched(host, life, "/etc/oslet/nginx.conf"))
        hearing.hear("secret", lambda: _fetched(host, life, "/etc/oslet/key.pem")[:4])
        hearing.hear("health", lambda: health(life))
        secret = (pair / "key.pem").read_text().splitlines()[1]
        hearing.hear("secret is told", lambda: secret in life.logs().said + json.dumps(life.seen()))
        hearing.hear("stopped", life.stop)
        hearing.hear("logs", lambda: distinct(told(life.logs().out, life.name)))
        hearing.hear("errors", lambda: distinct(told(life.logs().err, life.name)))


def _fetched(host: Host, life: Life, path: str) -> list[Any]:
    """A file out of an instance: mode, owner, size, bytes, as the tar stream has them."""
    done = host("cp", f"{life.name}:{path}", "-")
    with tarfile.open(fileobj=BytesIO(done.out)) as tar:
        member = tar.getmembers()[0]
        stream = tar.extractfile(member)
        return [member.name, oct(member.mode), member.type.decode(), member.size, stream.read() if stream else b""]


def web(hearing: Hearing) -> None:
    """An API: JSON, an upload, a websocket; Python inside, its children, and files in and out."""
    from websockets.sync.client import connect

    host, port = hearing.host, free_port()
    as_json, form = {"Content-Type": "application/json"}, {"Content-Type": "multipart/form-data; boundary=x"}

    def upload(size: int) -> Any:
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        return http_said(port, "/upload", "POST", head + b"z" * size + b"\r\n--x--\r\n", form)

    def echo() -> Any:
        with connect(f"ws://127.0.0.1:{port}/echo") as talk:
            talk.send("quiet é")
            return talk.recv()

    with host.started(hearing.image, "-p", f"127.0.0.1:{port}:8080", "-e", "GIVEN=a b") as life:
        hearing.hear("health", lambda: [http_said(port, "/healthz"), *health(life)])
        item = json.dumps({"name": "lamp", "price": 8}).encode()
        hearing.hear("item", lambda: http_said(port, "/items", "POST", item, as_json))
        hearing.hear("bad item", lambda: http_said(port, "/items", "POST", b'{"price": -1}', as_json))
        hearing.hear("schema", lambda: http_said(port, "/openapi.json"))
        hearing.hear("upload", lambda: upload(100_000))
        hearing.hear("large upload", lambda: upload(3_000_000))
        hearing.hear("echo", echo)
        hearing.hear("nothing", lambda: http_said(port, "/nothing"))
        _inside(hearing, life)
        hearing.hear("stopped", life.stop)
        hearing.hear("logs", lambda: distinct(told(life.logs().out + life.logs().err, life.name, without="healthz")))
    hearing.hear("read-only", lambda: _read_only(host, hearing.image))


def _inside(hearing: Hearing, life: Life) -> None:
    host = hearing.host

    def places() -> Any:
        done = life.exec("python3", "-c", PLACES, "a b", "é", stdin="été".encode())
        text = done.out.decode().replace(life.name, "NAME")
        return [done.code, json.loads(text) if done.code == 0 else text, done.err]

    def carried() -> Any:
        with BytesIO() as stream:
            with tarfile.open(fileobj=stream, mode="w") as tar:
                member = tarfile.TarInfo("in/é")
                member.size, member.mode = 5, 0o640
                tar.addfile(member, BytesIO(b"hello"))
            host("cp", "-", f"{life.name}:/tmp/", stdin=stream.getvalue())
        return _fetched(host, life, "/tmp/in/é")

    hearing.hear("places", places)
    hearing.hear("children", lambda: life.exec("python3", "-c", CHILDREN))
    hearing.hear("carried", carried)
    hearing.hear("carried, owner", lambda: life.exec("python3", "-c", _OWNER, "/tmp/in/é"))
    hearing.hear("killed", lambda: life.exec("python3", "-c", "import os; os.kill(os.getpid(), 9)").code)
    hearing.hear("as nobody", lambda: life.exec("python3", "-c", "import os; print(os.getuid())", user="nobody"))


_OWNER = "import os, sys; s = os.stat(sys.argv[1]); print(oct(s.st_mode), s.st_uid == os.getuid())"
_WRITES = """\
for place in ("/tmp", "/run", "/etc", "/app", "/var"):
    try: open(place + "/new", "w").close(); print(place, "written")
    except OSError as error: print(place, error.strerror)
"""


def _read_only(host: Host, image: str) -> Any:
    return host.run(image, "--read-only", "--", "python3", "-c", _WRITES)


def flask(hearing: Hearing) -> None:
    """Processes that answer together, a param in the environment, a graceful end."""
    port = free_port()
    words = ("-p", f"127.0.0.1:{port}:8000", "--greeting", "Grüß {Gott}", "--workers", "2")

    def answers() -> Any:
        said = [json.loads(http_said(port)[2]) for _ in range(20)]
        return [sorted({each["greeting"] for each in said}), all(each["pid"] > 1 for each in said)]

    with hearing.host.started(hearing.image, *words) as life:
        hearing.hear("answers", answers)
        hearing.hear("nothing", lambda: http_said(port, "/nothing"))
        hearing.hear("wrong method", lambda: http_said(port, method="POST")[:1])
        hearing.hear("health", lambda: health(life))
        hearing.hear("stopped", life.stop)
        hearing.hear("logs", lambda: sorted(set(told(life.logs().out + life.logs().err, life.name))))
        hearing.hear("ended", lambda: [life.seen()[n] for n in ("state", "exit_code")])


def postgres(hearing: Hearing, folder: Path) -> None:
    """A cluster made from a secret at the first start, sessions over SQL, and the same data after the second."""
    data, port = f"m-{uuid.uuid4().hex[:10]}", free_port()
    secret = folder / "password"
    secret.write_text(PASSWORD)
    words = ("-p", f"127.0.0.1:{port}:5432", "--password", f"@{secret}", "-v", f"{data}:/var/lib/postgresql/data")
    host, image = hearing.host, hearing.image
    try:
        with host.started(image, *words, "--connections", "20") as life:
            hearing.hear("sql", lambda: _sql(port))
            hearing.hear("wrong password", lambda: _refused(port))
            hearing.hear("secret", lambda: life.exec("/bin/sh", "-c", _SECRET))
            hearing.hear("inside", lambda: life.exec("/bin/sh", "-c", "id 2>&1; pwd; umask; echo $0 $#; exit 4"))
            hearing.hear("stopped", life.stop)
            hearing.hear("logs", lambda: _log(life))
        with host.started(image, *words) as life:
            until(lambda: _answers(port))
            hearing.hear("kept", lambda: _rows(port, "select count(*), sum(n), max(text) from kept"))
            hearing.hear("connections", lambda: _rows(port, "show max_connections"))
            hearing.hear("asked to end", life.stop)
    finally:
        host("volumes", "--rm", data, code=None)


_SECRET = """\
[ -O /run/secrets/password ] && echo mine
read -r p </run/secrets/password; echo "${#p}"
echo x >/run/secrets/password
"""
"""In dash, which has neither stat nor wc here."""
_STATEMENTS = """\
create table kept (n int primary key, text text, at timestamptz default now())
insert into kept select n, repeat('é', n) from generate_series(1, 1000) n
create index on kept using gin (to_tsvector('simple', text))
create function f(a int) returns int language plpgsql as 'begin return a * 7; end'
create extension if not exists pgcrypto
"""
_ASKED = """\
select count(*), sum(n), min(length(text)) from kept
select f(6), encode(digest('x', 'sha256'), 'hex'), upper('é' collate "C.utf8")
select '{"a": [1, 2]}'::jsonb -> 'a' -> 1, array_agg(n order by n desc) from kept where n < 5
select current_user, current_setting('server_encoding'), current_setting('data_checksums'), current_setting('TimeZone')
select 'x' ~ '^\\w$', to_char(timestamp '2026-02-01', 'TMDay DD TMMonth'), 1 / 3.0
select split_part(version(), ' ', 2), pg_size_pretty(10 * 1024 * 1024::bigint)
set max_parallel_workers_per_gather = 2; set min_parallel_table_scan_size = 0; select count(*) from kept
"""


def _connected(port: int, password: str = PASSWORD) -> Any:
    import psycopg

    return psycopg.connect(
        host="127.0.0.1", port=port, user="postgres", password=password, autocommit=True, connect_timeout=60
    )


def _rows(port: int, statement: str) -> Any:
    with _connected(port) as base:
        *before, last = statement.split("; ")
        for each in before:
            base.execute(each)
        return [[str(value) for value in row] for row in base.execute(last).fetchall()]


def _sql(port: int) -> Any:
    until(lambda: _answers(port))
    with _connected(port) as base:
        for statement in _STATEMENTS.splitlines():
            base.execute(statement)
    return {statement: _rows(port, statement) for statement in _ASKED.splitlines()}


def _answers(port: int) -> bool:
    import psycopg

    try:
        return bool(_rows(port, "select 1"))
    except psycopg.OperationalError:
        return False


def _refused(port: int) -> Any:
    import psycopg

    try:
        _connected(port, "wrong")
    except psycopg.OperationalError as error:
        return told(str(error).partition("FATAL")[2])
    return "let in"


def _log(life: Life) -> list[str]:
    """What the server wrote of its life: not what initdb says of this machine, nor how long a checkpoint took."""
    said = told(life.logs().out + life.logs().err, life.name, without="checkpoint complete|starting up")
    return distinct(line for line in said if "LOG:" in line or "FATAL" in line)
