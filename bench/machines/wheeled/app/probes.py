"""``python3 probes.py [NAME…]``: does one thing with each wheel and of each kind; a JSON line {name, answer} for each.

An answer is the same whenever and wherever it is asked: what depends on the machine isn't told.
"""

import asyncio
import concurrent.futures
import json
import mmap
import multiprocessing
import os
import pty
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE = 120
TEXT = b"hello " * 1000


# Wheels with compiled modules


def wheel_numpy():
    import numpy as np

    a = np.arange(12.0).reshape(3, 4)
    solved = np.linalg.solve(np.array([[3.0, 1], [1, 2]]), np.array([9.0, 8]))
    big = np.random.default_rng(1).random((120, 120))
    return [
        float((a @ a.T).sum()),
        solved.round(6).tolist(),
        np.fft.rfft(a[0]).real.round(6).tolist(),
        float((big @ np.linalg.inv(big)).trace().round(6)),
    ]


def wheel_pydantic():
    import pydantic
    import pydantic_core

    class M(pydantic.BaseModel):
        n: int
        tags: list[str] = []

    try:
        M(n="x")
    except pydantic.ValidationError as error:
        return [M(n="42", tags=["a"]).model_dump_json(), error.errors()[0]["type"], pydantic_core.from_json("[1]")]


def wheel_orjson():
    import orjson

    return orjson.dumps({"b": 1.5, "a": [None, "é"]}, option=orjson.OPT_SORT_KEYS).decode()


def wheel_msgspec():
    import msgspec

    class P(msgspec.Struct):
        x: int
        y: list[float] = []

    return [repr(msgspec.json.decode(b'{"x":1,"y":[2.5]}', type=P)), msgspec.msgpack.encode(P(1)).hex()]


def wheel_lxml():
    from lxml import etree

    tree = etree.fromstring("<r><a n='1'/><a n='2'/></r>")
    return [tree.xpath("sum(//@n)"), etree.tostring(tree).decode()]


def wheel_pillow():
    from PIL import Image, ImageFilter

    image = Image.new("RGB", (64, 48), "red").filter(ImageFilter.GaussianBlur(2)).resize((9, 9))
    said = []
    for kind in ("PNG", "JPEG", "WEBP"):
        with tempfile.TemporaryFile() as stream:
            image.save(stream, kind)
            stream.seek(0)
            said.append([Image.open(stream).format, Image.open(stream).size])
    return said


def wheel_cryptography():
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    key.public_key().verify(key.sign(b"x"), b"x")
    made = Fernet(Fernet.generate_key())
    return [
        key.sign(b"x").hex()[:16], made.decrypt(made.encrypt(b"a")).decode(), AESGCM(b"k" * 16).encrypt(b"n" * 12, b"x", None).hex(),
        rsa.generate_private_key(65537, 1024).key_size,
    ]  # fmt: skip


def wheel_cffi():
    import cffi

    ffi = cffi.FFI()
    ffi.cdef("int abs(int); size_t strlen(const char *); typedef int (*f)(int);")
    libc = ffi.dlopen(None)
    called = ffi.callback("int(int)", lambda n: n + 1)
    return [libc.abs(-42), libc.strlen(b"hello"), called(41)]


def wheel_greenlet():
    import greenlet

    said = []

    def other():
        said.append("other")
        main.switch()
        said.append("again")

    main, child = greenlet.getcurrent(), greenlet.greenlet(other)
    child.switch()
    said.append("main")
    child.switch()
    return said


def wheel_uvloop():
    import uvloop

    async def main():
        server = await asyncio.start_server(_shout, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(7)")
        return [(await reader.read()).decode(), await child.wait(), type(asyncio.get_running_loop()).__module__]

    return uvloop.run(main())


async def _shout(reader, writer):
    writer.write((await reader.readline()).upper())
    writer.close()


def wheel_httptools():
    import httptools

    class P:
        def on_url(self, url):
            self.url = url.decode()

    heard = P()
    parser = httptools.HttpRequestParser(heard)
    parser.feed_data(b"GET /x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    return [heard.url, parser.get_method().decode(), parser.should_keep_alive()]


def wheel_psutil():
    import psutil

    own = psutil.Process()
    return [
        psutil.cpu_count() > 0, psutil.virtual_memory().total > 1 << 24, own.pid in psutil.pids(), own.num_threads(),
        own.cmdline()[:2], own.cwd(), bool(own.memory_info().rss), "lo" in psutil.net_if_addrs(), own.uids().real == os.getuid(),
    ]  # fmt: skip


def wheel_regex():
    import regex

    return [
        regex.findall(r"[[:alpha:]--[a-c]]{3,}", "été abc ночь", flags=regex.V1),
        bool(regex.search(r"(?e)(hello){e<=1}", "helo")),
    ]


def wheel_lz4():
    import lz4.block
    import lz4.frame

    return [lz4.frame.decompress(lz4.frame.compress(TEXT)) == TEXT, len(lz4.block.compress(TEXT)) < 100]


def wheel_zstandard():
    import zstandard

    packed = zstandard.ZstdCompressor(level=19, threads=2).compress(TEXT)
    return [zstandard.ZstdDecompressor().decompress(packed) == TEXT, len(packed) < 100]


def wheel_brotli():
    import brotli

    return [brotli.decompress(brotli.compress(TEXT)) == TEXT, len(brotli.compress(TEXT)) < 100]


def wheel_ujson():
    import ujson

    return [ujson.dumps({"a": [1, "é"]}), ujson.loads("[1.5]")]


def wheel_multidict():
    import multidict

    many = multidict.CIMultiDict([("A", "1"), ("a", "2")])
    return [many.getall("a"), type(many).__module__, list(many.keys())]


def wheel_yarl():
    import yarl

    return str(yarl.URL("http://bücher.example/é").with_query(a="ü").with_port(8080))


def wheel_aiohttp():
    import aiohttp
    from aiohttp import web

    async def hello(request):
        return web.json_response({"hello": request.match_info["name"]})

    async def main():
        app = web.Application()
        app.add_routes([web.get("/{name}", hello)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/you") as answer:
            said = [answer.status, await answer.text()]
        await runner.cleanup()
        return said

    return asyncio.run(main())


def wheel_markupsafe():
    import markupsafe
    from markupsafe import _speedups

    return [str(markupsafe.escape("<é>")), bool(_speedups)]


def wheel_pyyaml():
    import yaml

    return [yaml.load("a: [1, x]", Loader=yaml.CSafeLoader), yaml.dump({"a": [1]}, Dumper=yaml.CSafeDumper)]


def wheel_msgpack():
    import msgpack

    return [msgpack.packb({"a": [1, b"x"]}).hex(), msgpack.Packer.__module__]


def wheel_xxhash():
    import xxhash

    return [xxhash.xxh3_64_hexdigest(TEXT), xxhash.xxh128_hexdigest(b"x")]


# Children


def child():
    script = "import sys; print(sys.argv[1:], sys.stdin.read()); sys.stderr.write('e'); sys.exit(3)"
    done = subprocess.run([sys.executable, "-c", script, "a b"], input="in", capture_output=True, text=True)
    return [done.returncode, done.stdout, done.stderr]


def child_forked():
    read, write = os.pipe()
    if not (pid := os.fork()):
        os.write(write, b"child")
        os._exit(9)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), os.read(read, 9).decode()]


def child_spawned():
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "raise SystemExit(7)"], dict(os.environ))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def children_many():
    pids = []
    for n in range(50):
        if not (pid := os.fork()):
            os._exit(n)
        pids.append(pid)
    return sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)


def child_orphaned():
    """A grandchild whose parent ends first: somebody else reaps it."""
    read, write = os.pipe()
    if not (pid := os.fork()):
        if not os.fork():
            time.sleep(0.2)
            os.write(write, b"alone")
            os._exit(0)
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    return os.read(read, 9).decode()


def child_by_another_name():
    done = subprocess.run(
        ["no-such-name"],
        executable=sys.executable,
        input="import sys; print(sys.argv, 6 * 7)",
        text=True,
        capture_output=True,
    )
    return done.stdout


def child_in_a_terminal():
    read = bytearray()

    def keep(descriptor):
        data = os.read(descriptor, 1024)
        read.extend(data)
        return data

    quiet, null = os.dup(1), os.open("/dev/null", os.O_WRONLY)
    os.dup2(null, 1)
    try:
        status = pty.spawn([sys.executable, "-c", "import os, sys; print(sys.stdin.isatty(), os.ttyname(0)[:8])"], keep)
    finally:
        os.dup2(quiet, 1)
    return [read.decode(), status]


# Threads and processes that share


def threads():
    said, barrier = [], threading.Barrier(8)

    def work(n):
        barrier.wait(PATIENCE)
        said.append(n)

    started = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for each in started:
        each.start()
    for each in started:
        each.join()
    return sorted(said)


def threads_many():
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        return sum(pool.map(lambda n: len(os.urandom(n)), range(500)))


def _double(n):
    return 2 * n


def processes():
    said = {}
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            said[method] = pool.map(_double, range(4))
    return said


def processes_that_share():
    lock, queue, value = multiprocessing.Lock(), multiprocessing.Queue(), multiprocessing.Value("i", 0)

    def add():
        for _ in range(100):
            with lock, value.get_lock():
                value.value += 1
        queue.put("done")

    context = multiprocessing.get_context("fork")
    made = [context.Process(target=add) for _ in range(3)]
    for each in made:
        each.start()
    heard = [queue.get(timeout=PATIENCE) for _ in made]
    for each in made:
        each.join()
    return [value.value, heard]


def memory_shared():
    from multiprocessing.shared_memory import SharedMemory

    memory = SharedMemory(create=True, size=4096)
    if not (pid := os.fork()):
        memory.buf[0] = 42
        os._exit(0)
    os.waitpid(pid, 0)
    said = memory.buf[0]
    memory.close()
    memory.unlink()
    return said


def memory_mapped():
    with tempfile.TemporaryFile() as stream:
        stream.truncate(1 << 20)
        with mmap.mmap(stream.fileno(), 0) as memory:
            memory[-5:] = b"hello"
            memory.flush()
        return os.pread(stream.fileno(), 5, (1 << 20) - 5).decode()


# Signals


def signals():
    heard = []
    for name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGWINCH", "SIGRTMIN"):
        number = getattr(signal, name)
        signal.signal(number, lambda n, _: heard.append(int(n)))
        os.kill(os.getpid(), number)
    return heard


def signal_that_ends():
    said = []
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        child.send_signal(number)
        said.append(child.wait())
    return said


def signal_by_timer():
    heard = threading.Event()
    signal.signal(signal.SIGALRM, lambda *_: heard.set())
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    return heard.wait(PATIENCE)


def signal_waited_for():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    os.kill(os.getpid(), signal.SIGUSR2)
    return int(signal.sigwait({signal.SIGUSR2}))


def signal_to_a_group():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    os.killpg(child.pid, signal.SIGINT)
    return child.wait() != 0


def crash():
    """A fault of its own, with a traceback of Python's faulthandler."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", "import ctypes; ctypes.string_at(0)"],
        capture_output=True,
        text=True,
    )
    return [done.returncode, "Segmentation fault" in done.stderr]


# Loops, sockets, files


def loop():
    async def main():
        heard = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, heard.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(heard.wait(), PATIENCE)
        server = await asyncio.start_unix_server(_shout, os.path.join(tempfile.mkdtemp(), "s"))
        reader, writer = await asyncio.open_unix_connection(server.sockets[0].getsockname())
        writer.write(b"hello\n")
        made = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(input())", stdin=-1, stdout=-1)
        return [
            (await reader.read()).decode(),
            (await made.communicate(b"x\n"))[0].decode(),
            await asyncio.to_thread(_double, 21),
        ]

    return asyncio.run(main())


def sockets():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as one:
        other, _ = server.accept()
        one.sendall(b"x" * 100_000)
        one.shutdown(socket.SHUT_WR)
        heard = b"".join(iter(lambda: other.recv(1 << 16), b""))
        other.close()
    ours, its = socket.socketpair()
    socket.send_fds(ours, [b"f"], [0])
    return [len(heard), len(socket.recv_fds(its, 1, 1)[1]), socket.gethostbyname("localhost")]


def sockets_waited_for():
    said = []
    for kind in ("select", "poll", "epoll"):
        ours, its = socket.socketpair()
        its.send(b"x")
        if kind == "select":
            said.append(len(select.select([ours], [], [], 5)[0]))
        else:
            waiting = getattr(select, kind)()
            waiting.register(ours.fileno(), select.POLLIN)
            said.append(len(waiting.poll(5)))
    return said


def files():
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "é")
    with open(path, "wb", 0) as stream:
        stream.write(b"x" * 5)
        os.fsync(stream.fileno())
    os.symlink("é", os.path.join(folder, "l"))
    os.link(path, os.path.join(folder, "h"))
    os.mkfifo(os.path.join(folder, "p"))
    os.chmod(path, 0o4750)
    os.utime(path, ns=(1, 2))
    seen = os.stat(path)
    return [
        sorted(os.listdir(folder)),
        oct(seen.st_mode),
        seen.st_nlink,
        seen.st_size,
        seen.st_mtime_ns,
        os.readlink(os.path.join(folder, "l")),
    ]


def files_locked():
    import fcntl

    with tempfile.NamedTemporaryFile() as one:
        fcntl.flock(one, fcntl.LOCK_EX)
        with open(one.name) as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return "locked"


def files_of_the_kernel():
    events, memory = os.eventfd(3), os.memfd_create("m")
    os.write(memory, b"hello")
    return [
        os.eventfd_read(events),
        os.pread(memory, 9, 0).decode(),
        os.pidfd_open(os.getpid()) > 0,
        os.sched_getaffinity(0) != set(),
    ]


def database():
    import sqlite3

    with sqlite3.connect(os.path.join(tempfile.mkdtemp(), "d")) as base:
        base.execute("pragma journal_mode = wal")
        base.execute("create table t (n int)")
        base.executemany("insert into t values (?)", ((n,) for n in range(1000)))
        base.commit()
        return base.execute("select sum(n) from t").fetchone()


def limits():
    return [
        resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        resource.getrlimit(resource.RLIMIT_CORE),
        resource.getrlimit(resource.RLIMIT_STACK)[0],
    ]


def recursion():
    def deep(n):
        return 0 if n == 0 else 1 + deep(n - 1)

    sys.setrecursionlimit(20_000)
    threading.stack_size(64 << 20)
    said = []
    thread = threading.Thread(target=lambda: said.append(deep(10_000)))
    thread.start()
    thread.join()
    return said


def clocks():
    began, wall = time.monotonic(), time.time()
    time.sleep(0.05)
    return [0.04 < time.monotonic() - began < 20, 0.04 < time.time() - wall < 20, 2024 < time.gmtime().tm_year < 2100]


def randomness():
    return [len({os.urandom(16) for _ in range(100)}), len(os.getrandom(32)), len(open("/dev/urandom", "rb").read(32))]


def answer(probe):
    """What a probe says, or the name of what it raised, from a process of its own."""
    read, write = os.pipe()
    sys.stdout.flush()
    if not (child := os.fork()):
        os.close(read)
        signal.alarm(PATIENCE)
        try:
            said = probe()
        except BaseException as error:
            said = {"raised": type(error).__name__, "said": str(error)[:300]}
        with os.fdopen(write, "w") as stream:
            json.dump(said, stream, default=repr)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        text = stream.read()
    status = os.waitpid(child, 0)[1]
    return json.loads(text) if text else {"ended": status}


if __name__ == "__main__":
    found = {name: made for name, made in list(globals().items()) if callable(made) and not name.startswith("_")}
    for name, made in found.items():
        if made.__module__ == "__main__" and name != "answer" and (len(sys.argv) == 1 or name in sys.argv[1:]):
            print(json.dumps({"name": name, "answer": answer(made)}), flush=True)
