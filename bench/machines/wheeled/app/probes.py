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

import wheels

PATIENCE = 120
TEXT = b"hello " * 1000


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
        server = await asyncio.start_unix_server(wheels._shout, os.path.join(tempfile.mkdtemp(), "s"))
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
    known = {**vars(wheels), **globals()}
    found = {name: made for name, made in known.items() if callable(made) and not name.startswith("_")}
    for name, made in found.items():
        if (
            made.__module__ in ("__main__", "wheels")
            and name != "answer"
            and (len(sys.argv) == 1 or name in sys.argv[1:])
        ):
            print(json.dumps({"name": name, "answer": answer(made)}), flush=True)
