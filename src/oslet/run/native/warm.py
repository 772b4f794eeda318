"""As a program inside an instance, from its standard input: a Python that has imported what the application will.

It waits for what the stub would have waited for (docs/slots.md), on descriptor 3, and then runs that in itself: ``-m
MODULE …`` or ``FILE …`` after the same options. Anything else it becomes by execve, as the stub does. It is written
for whatever Python the image has, imports little, and leaves nothing of its own in the application's way.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


def named(name: str) -> str:
    """Call this process something, by which the supervisor sees that it waits (proc_pid_comm(5)); its name before."""
    try:
        with open("/proc/self/comm") as file:
            before = file.read().strip()
        with open("/proc/self/comm", "w") as file:
            file.write(name)
        return before
    except OSError:
        return name


def wait() -> tuple[bool, str]:
    import os
    import pkgutil  # noqa: F401 - runpy.run_path needs it
    import runpy  # noqa: F401 - run needs it
    import socket
    import struct
    import sys

    control = socket.socket(fileno=3)
    control.set_inheritable(False)
    modules, options = os.environ.pop("_OSLET_WARM").split(), sys.orig_argv[1:-1]
    for name in modules:
        try:
            __import__(name)
        except Exception:  # the application will say it better
            pass
    frozen = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    before = named("oslet-slot")
    control.send(b"w")
    fds, text, words, variables = receive(control)
    while not words:
        rehearse()
        fds, text, words, variables = receive(control)
    folder, *rest = (os.fsdecode(word) for word in text.split(b"\0")[:-1])
    argv = rest[:words]
    os.environ.clear()
    for word in rest[words : words + variables]:
        name, _, value = word.partition("=")
        os.environ[name] = value
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    try:
        os.chdir(folder)
        told = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
        after = argv[1 + len(options) :]
        ours = argv[0] == sys.orig_argv[0] and argv[1 : 1 + len(options)] == options and told == frozen
        as_module = after[:1] == ["-m"] and len(after) > 1
        if not ours or not after or (after[0].startswith("-") and not as_module):
            os.execvp(argv[0], argv)
        if not as_module and not os.path.isfile(after[0]):
            os.execvp(argv[0], argv)
    except OSError as error:
        control.send(struct.pack("I", error.errno))
        os._exit(127 if error.errno == 2 else 126)
    named(before)
    control.close()
    sys.argv = after[1:] if as_module else after
    sys.orig_argv = argv
    sys.path[0] = os.getcwd() if as_module else os.path.dirname(os.path.abspath(after[0]))
    return as_module, sys.argv[0]


def rehearse() -> None:
    """Do in a child what applications begin with: in a guest whose instructions are translated, the first time takes
    a tenth of a second."""
    import os
    import runpy
    import socket

    if child := os.fork():
        os.waitpid(child, 0)
        return
    try:
        text = (
            "class Some(dict):\n    def each(self, **named):\n        return [f'{a}' for a in named]\nSome().each(a=1)"
        )
        exec(compile(text, "rehearsal", "exec"), {"__name__": "rehearsal"})
        runpy.run_path(os.devnull)
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 1) as one:
            two, _ = server.accept()
            with two.makefile("rwb") as stream:
                one.sendall(b"GET / HTTP/1.0\r\n")
                stream.readline()
    finally:
        os._exit(0)


def receive(control: socket.socket) -> tuple[list[int], bytes, int, int]:
    """The one message: descriptors, strings, and how many of those are arguments and variables. Ends where it ends."""
    import os
    import struct

    head = b""
    fds: list[int] = []
    while len(head) < 20:
        part, ancillary, _, _ = control.recvmsg(20 - len(head), 1024)
        if not part:
            os._exit(125)
        head += part
        for _, _, data in ancillary:
            fds += struct.unpack(f"{len(data) // 4}i", data)
    _, length, words, variables, _ = struct.unpack("5I", head)
    text = b""
    while len(text) < length:
        part = control.recv(length - len(text))
        if not part:
            os._exit(125)
        text += part
    return fds, text, words, variables


def run(as_module: bool, name: str) -> None:
    import runpy

    if as_module:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(name, run_name="__main__")


run(*wait())
