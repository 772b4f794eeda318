"""Network: which ports an instance answers on, and slirp4netns, which carries them without privilege."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from oslet.errors import RunError
from oslet.run.monitor import above, readable
from oslet.run.records import Published, Record

LOOPBACK = "127.0.0.1"
"""Where ports answer unless said otherwise: to this machine alone. Docker's 0.0.0.0 has surprised many."""

_TUN = Path("/dev/net/tun")
_PATIENCE = 10.0


def published(declared: Sequence[str], given: Sequence[str]) -> tuple[Published, ...]:
    """The ports of an instance. Each declared one answers on the same port of this machine, unless given otherwise.

    ``given`` are ``HOST:CONTAINER`` or ``ADDRESS:HOST:CONTAINER`` (``[::1]:9000:8080``), as Docker's ``-p``.
    """
    ports = {number: Published(number, number, LOOPBACK) for number in (_port(text, text) for text in declared)}
    for text in given:
        address, _, rest = text.rpartition(":")[0].rpartition(":")
        container = _port(text.rpartition(":")[2], text)
        host = _port(rest, text)
        ports[container] = Published(container, host, address.strip("[]") or LOOPBACK)
    return tuple(ports.values())


def _port(text: str, whole: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise RunError(f"{whole!r} is not a port to publish", hint="write HOST:CONTAINER, as in 9000:8080")


def check_free(ports: Sequence[Published], others: Sequence[Record]) -> None:
    """RunError when something already answers on one of the ports, with the instance's name if it is ours."""
    for port in ports:
        family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((port.address, port.host))
            except OSError as error:
                raise _taken(port, error, others) from None


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


def check_tun() -> None:
    """RunError when this user can't have a private network."""
    if os.access(_TUN, os.R_OK | os.W_OK):
        return
    what = "is closed to you" if _TUN.exists() else "is missing"
    raise RunError(
        f"a private network needs {_TUN}, which {what}",
        hint="start with --network host (ports are then the application's own) or --network none",
    )


def connect(program: Path, pid: int, folder: Path, life: int) -> int:
    """Start slirp4netns for the network namespace of ``pid``; its pid once it is ready. It ends when ``life`` closes.

    ``life`` is the reading end of a pipe that the instance's monitor holds the other end of.
    """
    ready, said = os.pipe()
    where = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    descriptors = [above(fd) for fd in (said, life, where)]
    try:
        # The socket is named by a descriptor, since a path to one may not be longer than 107 bytes (unix(7)).
        slirp = os.posix_spawn(
            program,
            [
                "slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", "--ready-fd=3", "--exit-fd=4",
                "--api-socket=/proc/self/fd/5/slirp", str(pid), "tap0",
            ],
            {},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(folder / "network.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(descriptors, 3)),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE],
        )  # fmt: skip
    finally:
        for fd in (*descriptors, said, where):
            os.close(fd)
    try:
        if not readable(ready, _PATIENCE) or os.read(ready, 1) != b"1":
            raise RunError("slirp4netns can't make the network", where=_last_line(folder / "network.log"))
    finally:
        os.close(ready)
    return slirp


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
