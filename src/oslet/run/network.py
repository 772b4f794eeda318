"""Network: which ports an instance answers on, and what carries them, without privilege.

slirp4netns does, and a way out with them. It needs /dev/net/tun, which some machines keep from ordinary users: there a
private network has no way out, and its ports are carried by a forwarder of ours.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from oslet.errors import RunError
from oslet.run import ids, monitor
from oslet.run.records import Published, Record
from oslet.run.tools import program

LOOPBACK = "127.0.0.1"
"""Where ports answer unless said otherwise: to this machine alone. Docker's 0.0.0.0 has surprised many."""

_TUN = Path("/dev/net/tun")
_NET_ADMIN = 12
"""CAP_NET_ADMIN's number (capability.h)."""
_PATIENCE = 10.0
_BACKLOG = 1024
_NOBODY = 65534
"""Root's forwarder becomes this one of the instance's ids: nobody on this machine has it but an instance's nobody."""


def published(declared: Sequence[str], given: Sequence[str]) -> tuple[Published, ...]:
    """The ports of an instance. Each declared one answers on the same port of this machine, unless given otherwise.

    ``given`` are ``HOST:CONTAINER`` or ``ADDRESS:HOST:CONTAINER`` (``[::1]:9000:8080``), as Docker's ``-p``; a HOST of
    0 is a port that is free now.
    """
    ports = {number: Published(number, number, LOOPBACK) for number in (_port(text, text) for text in declared)}
    for text in given:
        address, _, rest = text.rpartition(":")[0].rpartition(":")
        container = _port(text.rpartition(":")[2], text)
        where = address.strip("[]") or LOOPBACK
        host = free_port(where) if rest == "0" else _port(rest, text)
        ports[container] = Published(container, host, where)
    return tuple(ports.values())


def free_port(address: str = LOOPBACK) -> int:
    """A port that nobody has, of the kernel's choice; another program may take it before it is claimed."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise RunError(f"no port can be had: {error.strerror}", where=address) from None
        port: int = probe.getsockname()[1]
        return port


def _port(text: str, whole: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise RunError(f"{whole!r} is not a port to publish", hint="write HOST:CONTAINER, as in 9000:8080")


def claim(ports: Sequence[Published], others: Sequence[Record], *, keep: bool) -> tuple[socket.socket, ...]:
    """RunError when something already answers on one of the ports, with the instance's name if it is ours. With
    ``keep``, a listening socket for each, for ``share``: nobody can take one of them meanwhile."""
    opened = []
    try:
        for port in ports:
            family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
            opened.append(socket.socket(family, socket.SOCK_STREAM))
            opened[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                opened[-1].bind((port.address, port.host))
                if keep:
                    opened[-1].listen(_BACKLOG)
            except OSError as error:
                raise _taken(port, error, others) from None
        kept = tuple(opened) if keep else ()
        opened = [] if keep else opened
        return kept
    finally:
        for one in opened:
            one.close()


def _taken(port: Published, error: OSError, others: Sequence[Record]) -> RunError:
    where = f"{port.address}:{port.host}"
    if error.errno == errno.EACCES:
        return RunError(f"port {port.host} needs root", where=where, hint=f"publish another: -p 8080:{port.container}")
    if error.errno != errno.EADDRINUSE:
        return RunError(f"port {port.host} can't be used: {error.strerror}", where=where)
    holder = next((r.name for r in others if any(p.host == port.host for p in r.published)), None)
    if holder:
        what = f"port {port.host} is taken by the instance {holder!r}"
        return RunError(
            what, where=where, hint=f"oslet stop {holder}, or publish another: -p {port.host + 1}:{port.container}"
        )
    hint = f"publish another: -p {port.host + 1}:{port.container}"
    return RunError(f"port {port.host} is taken by another program", where=where, hint=hint)


def obstacle(slirp4netns: Path | None) -> str:
    """Why a private network of this user can have no way out; empty when it can."""
    return tun_obstacle() or ("" if slirp4netns else "slirp4netns is missing")


def check_rights() -> None:
    """RunError for a root who may not set up a network: the root of a container, most often (capabilities(7))."""
    if os.geteuid() != 0:
        return  # whose network is in a user namespace, with every capability there
    status = Path("/proc/self/status").read_text()
    held = int(next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1], 16)
    if not held >> _NET_ADMIN & 1:
        raise RunError(
            "a private network needs CAP_NET_ADMIN, which this root doesn't have (in a container?)",
            hint="start with --network host (ports are then the application's own) or --network none",
        )


def tun_obstacle() -> str:
    """Why this user can't use /dev/net/tun, or nothing. Asked by opening: what a container forbids shows only then."""
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO)
        return f"{_TUN} is missing" if missing else f"{_TUN} is closed to you"
    return ""


class Carrier(NamedTuple):
    """The process that carries an instance's ports, and where it says that it is ready."""

    pid: int
    ready: int


def connect(slirp4netns: Path, pid: int, folder: Path, life: int) -> Carrier:
    """Start slirp4netns for the network namespace of ``pid``. It ends when ``life`` closes.

    ``life`` is the reading end of a pipe that the instance's monitor holds the other end of.
    """
    where = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # The socket is named by a descriptor, since a path to one may not be longer than 107 bytes (unix(7)).
        return _spawn(
            slirp4netns,
            [
                "slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", "--ready-fd=3", "--exit-fd=4",
                "--api-socket=/proc/self/fd/5/slirp", str(pid), "tap0",
            ],
            folder,
            (life, where),
        )  # fmt: skip
    finally:
        os.close(where)


def share(pid: int, rootless: bool, folder: Path, life: int, ports: Mapping[int, int]) -> Carrier:
    """Start the forwarder, ``forward.py``, in the network namespace of ``pid``; ``life`` as for ``connect``.

    ``ports`` are the listening sockets' descriptors, each with the port in the namespace that it leads to. Without any
    it only makes the namespace's loopback work.
    """
    owner = ids.store_owner()
    become = 0 if rootless or owner is None else owner + _NOBODY
    enter = [program("nsenter"), *(("--preserve-credentials", "-U") if rootless else ()), "-n", "-t", str(pid), "--"]
    script = str(Path(__file__).with_name("forward.py"))
    words = [*enter, sys.executable, "-I", "-S", script, str(become), *map(str, ports.values())]
    return _spawn(Path(enter[0]), words, folder, (life, *ports))


def _spawn(file: Path, words: list[str], folder: Path, passed: Sequence[int]) -> Carrier:
    """A carrier in a session of its own, with the pipe it says ``1`` on as 3 and what is ``passed`` from 4 on."""
    ready, said = os.pipe()
    copies = [monitor.above(fd, 64 + len(passed)) for fd in (said, *passed)]
    try:
        pid = os.posix_spawn(
            file,
            words,
            {n: v for n, v in os.environ.items() if n == "LD_LIBRARY_PATH"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(folder / "network.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(copies, 3)),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE],
        )
    except BaseException as error:
        os.close(ready)
        if isinstance(error, OSError):
            raise RunError(f"the network can't be made: {error.strerror}", where=str(file)) from None
        raise
    finally:
        for fd in (*copies, said):
            os.close(fd)
    monitor.adopt(pid)
    return Carrier(pid, ready)


def settle(carrier: Carrier, folder: Path) -> None:
    """Wait until the carrier is in place. RunError with what it said when it isn't."""
    if not monitor.readable(carrier.ready, _PATIENCE) or os.read(carrier.ready, 1) != b"1":
        raise RunError("the instance's network can't be made", where=_last_line(folder / "network.log"))


def forward(folder: Path, ports: Sequence[Published]) -> None:
    """Ask slirp4netns to carry ports in; its ``add_hostfwd`` is in slirp4netns(1). RunError when it refuses one."""
    where = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for port in ports:
            wanted = {"proto": "tcp", "host_addr": port.address, "host_port": port.host, "guest_port": port.container}
            answer = _ask(f"/proc/self/fd/{where}/slirp", {"execute": "add_hostfwd", "arguments": wanted})
            if "error" in answer:
                raise RunError(f"port {port.host} can't be published: {answer['error'].get('desc', answer['error'])}")
    finally:
        os.close(where)


def _ask(path: str, request: dict[str, object]) -> dict[str, dict[str, str]]:
    deadline = time.monotonic() + _PATIENCE
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        while True:
            try:
                connection.connect(path)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise RunError("slirp4netns doesn't answer") from None
                time.sleep(0.001)
        connection.sendall(json.dumps(request).encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(4096):
            answer += part
    value = json.loads(answer or b"{}")
    return value if isinstance(value, dict) else {}


def _last_line(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip().splitlines()[-1][:200]
    except (OSError, IndexError):
        return ""
