"""Health: whether an instance does its work, asked from outside, through its published ports."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from oslet.errors import RunError
from oslet.model.oslet import Exec, Health, Http, Tcp
from oslet.run import client, records, wire
from oslet.run.entering import execute
from oslet.run.monitor import Stdio

_LISTENS = 0.25
"""Seconds in which a server is given the time to listen before anything else is asked of it."""
_ANSWER = 5.0
"""Seconds one probe may take."""
_LINE = 1024
"""Bytes of an answer that are read, at most."""


def healthy(state: Path, ref: str, health: Health | None = None) -> bool:
    """Whether ``health`` (the image's own when None; true when it has none) holds now. False once it has ended."""
    _, record = records.find(state, ref)
    asked = health or record.health
    if not records.alive(record):
        return False
    if asked is None:
        return True
    if isinstance(asked, Exec):
        return _exec(state, record, asked)
    if record.plug:
        reply = client.ask(state, wire.Probe(record.id, asked))
        return isinstance(reply, wire.Ended) and reply.code == 0
    with socket.socket() as connection:
        return answers(connection, _address(record, asked.port), asked)


def answers(connection: socket.socket, address: tuple[str, int], asked: Http | Tcp) -> bool:
    """Whether an instance at ``address`` is well, by a fresh socket that reaches it."""
    connection.settimeout(_ANSWER)
    try:
        connection.connect(address)
        return _http(connection, asked.path) if isinstance(asked, Http) else True
    except OSError:
        return False


def await_healthy(state: Path, ref: str, health: Health | None = None, timeout: float = 60) -> None:
    """Return once the instance is healthy. RunError when it ends first, or isn't within ``timeout`` seconds."""
    _, record = records.find(state, ref)
    if (health or record.health) is None:
        return
    deadline, pause = time.monotonic() + timeout, 0.005
    if isinstance(health or record.health, Exec) and any(p.proto == "tcp" for p in record.published):
        _until_it_listens(state, record, min(deadline, time.monotonic() + _LISTENS))
    while not healthy(state, record.id, health):
        if not records.alive(record):
            raise RunError(f"{record.name} ended before it was healthy", hint=f"oslet logs {record.name} may say why")
        if time.monotonic() > deadline:
            raise RunError(f"{record.name} isn't healthy after {timeout:g} s", hint=f"oslet logs {record.name}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def _until_it_listens(state: Path, record: records.Record, deadline: float) -> None:
    """Wait for a port to answer before a command is asked: a command is a process more, which takes the processor from
    what it asks for. One that listens later, or never, is asked all the same."""
    port = next(str(p.container) for p in record.published if p.proto == "tcp")
    while time.monotonic() < deadline and records.alive(record) and not healthy(state, record.id, Tcp(port)):
        time.sleep(0.004)


def _address(record: records.Record, port: str) -> tuple[str, int]:
    """Where an instance on the machine's network answers."""
    wanted = [p for p in record.published if not port or str(p.container) == port]
    if not wanted:
        hint = "declare the port, or health = { exec = […] }"
        raise RunError(f"{record.name} has no port {port}".rstrip() + " to ask for its health", hint=hint)
    return "127.0.0.1", wanted[0].host


def _http(connection: socket.socket, path: str) -> bool:
    """Whether GET ``path`` is answered by 2xx or 3xx: RFC 9112, of which a status line is all that is read."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    said = b""
    while b"\n" not in said and len(said) < _LINE and (part := connection.recv(_LINE)):
        said += part
    words = said.split(b" ", 2)
    return words[0].startswith(b"HTTP/1.") and len(words) > 1 and words[1][:1] in (b"2", b"3")


def reached(address: str) -> str:
    """Where this machine itself finds what listens at ``address``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)


def _exec(state: Path, record: records.Record, asked: Exec) -> bool:
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        return execute(state, record.id, asked.command, stdio=Stdio(null, null, null)) == 0
    except RunError:
        return False
    finally:
        os.close(null)
