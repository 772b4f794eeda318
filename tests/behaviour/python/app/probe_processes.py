"""Processes, threads, signals, and what they share."""

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time


def child_of_python():
    script = "import sys, json; print(json.dumps([sys.argv[1:], sys.stdin.read(), sys.flags.isolated]))"
    done = subprocess.run([sys.executable, "-I", "-c", script, "a"], input="in", capture_output=True, text=True)
    return [done.stdout, done.stderr, done.returncode]


def child_by_shell():
    try:
        done = subprocess.run("echo $((6 * 7))", shell=True, capture_output=True, text=True)
        return [done.returncode, done.stdout]
    except OSError as error:
        return [error.errno, error.filename]


def child_by_system():
    return [os.system("exit 3"), os.waitstatus_to_exitcode(os.system("true"))]


def child_that_is_absent():
    try:
        subprocess.run(["no-such-program"])
    except FileNotFoundError as error:
        return [error.errno, error.filename]


def children_in_a_pipe():
    first = subprocess.Popen([sys.executable, "-c", "print('b\\na')"], stdout=subprocess.PIPE)
    second = subprocess.run(
        [sys.executable, "-c", "import sys; print(sorted(sys.stdin))"], stdin=first.stdout, capture_output=True
    )
    return [second.stdout.decode(), first.wait()]


def child_spawned():
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "raise SystemExit(7)"], dict(os.environ))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def child_as_another_user():
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getuid())"], capture_output=True, text=True, start_new_session=True
    )
    return done.stdout


def _square(number):
    return number * number


def _fill(name, event):
    from multiprocessing.shared_memory import SharedMemory

    memory = SharedMemory(name)
    memory.buf[0] = 42
    memory.close()
    event.set()


def pools():
    said = {}
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            said[method] = pool.map(_square, range(4))
    return said


def pool_of_futures():
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    with ProcessPoolExecutor(2) as processes, ThreadPoolExecutor(2) as threads:
        return [list(processes.map(_square, range(3))), list(threads.map(_square, range(3)))]


def shared_memory():
    from multiprocessing.shared_memory import SharedMemory

    spawn = multiprocessing.get_context("spawn")
    memory, event = SharedMemory(create=True, size=16), spawn.Event()
    child = spawn.Process(target=_fill, args=(memory.name, event))
    child.start()
    said = [event.wait(20), memory.buf[0], child.join(20), child.exitcode]
    memory.close()
    memory.unlink()
    return said


def locks_between_processes():
    semaphore, queue, value = multiprocessing.Semaphore(2), multiprocessing.Queue(), multiprocessing.Value("i", 5)
    queue.put("x")
    with multiprocessing.Manager() as manager:
        shared = manager.dict(a=1)
        return [semaphore.acquire(timeout=1), queue.get(timeout=5), value.value, dict(shared)]


def mapped_memory():
    import mmap

    with open("/tmp/m", "w+b") as stream:
        stream.truncate(4096)
        with mmap.mmap(stream.fileno(), 0) as memory:
            memory[:5] = b"hello"
            memory.flush()
        return os.pread(stream.fileno(), 5, 0).decode()


def threads():
    said = []
    barrier, local = threading.Barrier(3), threading.local()

    def work(number):
        local.number = number
        barrier.wait(5)
        said.append(local.number)

    started = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return [sorted(said), threading.stack_size(1 << 20), sys.getswitchinterval()]


def loop_with_children():
    async def main():
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "print(input())", stdin=-1, stdout=-1)
        said, _ = await child.communicate(b"hello\n")
        return [said.decode(), child.returncode, type(asyncio.get_running_loop()).__name__]

    return asyncio.run(main())


def loop_with_sockets():
    async def main():
        async def serve(reader, writer):
            writer.write((await reader.readline()).upper())
            writer.close()

        await asyncio.start_unix_server(serve, "/tmp/a.sock")
        reader, writer = await asyncio.open_unix_connection("/tmp/a.sock")
        writer.write(b"hello\n")
        named = await asyncio.get_running_loop().getaddrinfo("localhost", "http")
        return [(await reader.read()).decode(), sorted({n[4][1] for n in named})]

    return asyncio.run(main())


def loop_with_signals():
    async def main():
        seen = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, seen.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        return await asyncio.wait_for(seen.wait(), 5)

    return asyncio.run(main())


def loop_with_threads():
    async def main():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.to_thread(_square, n)) for n in range(3)]
        return [t.result() for t in tasks]

    return asyncio.run(main())


def signals():
    seen = []
    for name in ("SIGTERM", "SIGHUP", "SIGALRM"):
        signal.signal(getattr(signal, name), lambda number, _: seen.append(signal.strsignal(number)))
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGHUP)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.pause()
    return seen


def signals_waited_for():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    os.kill(os.getpid(), signal.SIGUSR2)
    return signal.sigwait({signal.SIGUSR2})


def signal_that_ends():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    child.terminate()
    return child.wait()


def terminal():
    import pty
    import tty

    inner, outer = pty.openpty()
    tty.setraw(outer)
    os.write(outer, b"x")
    return [os.read(inner, 9).decode(), os.isatty(outer), os.ttyname(outer).rpartition("/")[0]]


def terminal_with_python():
    import pty

    seen = []

    def read(descriptor):
        data = os.read(descriptor, 1024)
        seen.append(data)
        return data

    quiet = os.dup(1)
    os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
    status = pty.spawn([sys.executable, "-c", "import sys; print(sys.stdout.isatty())"], read)
    os.dup2(quiet, 1)
    return [b"".join(seen).decode(), status]


def clocks():
    return [time.get_clock_info(n).implementation for n in ("monotonic", "time", "perf_counter", "process_time")]
