"""Health: whether an instance does its work, asked from outside, through its published ports."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from oslet.errors import RunError
from oslet.model.oslet import Exec, Health, Http
from oslet.run import records
from oslet.run.entering import execute
from oslet.run.monitor import Stdio

_ANSWER = 5.0
"""Seconds one probe may take."""


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
    address = _address(record, asked.port)
    return _http(address, asked.path) if isinstance(asked, Http) else _tcp(address, carried=record.network != "host")


def await_healthy(state: Path, ref: str, health: Health | None = None, timeout: float = 60) -> None:
    """Return once the instance is healthy. RunError when it ends first, or isn't within ``timeout`` seconds."""
    _, record = records.find(state, ref)
    deadline, pause = time.monotonic() + timeout, 0.005
    while not healthy(state, record.id, health):
        if not records.alive(record):
            raise RunError(f"{record.name} ended before it was healthy", hint=f"oslet logs {record.name} may say why")
        if time.monotonic() > deadline:
            raise RunError(f"{record.name} isn't healthy after {timeout:g} s", hint=f"oslet logs {record.name}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)


def _address(record: records.Record, port: str) -> tuple[str, int]:
    wanted = [p for p in record.published if not port or str(p.container) == port]
    if not wanted:
        raise RunError(
            f"{record.name} publishes no port {port}".rstrip() + ", so its health can't be asked from outside"
        )
    return reached(wanted[0].address), wanted[0].host


def reached(address: str) -> str:
    """Where this machine itself finds what listens at ``address``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)


def _tcp(address: tuple[str, int], *, carried: bool) -> bool:
    """Whether something accepts a connection, *and keeps* one that is carried there: slirp4netns accepts for a port
    nobody listens on, and hangs up once it finds out."""
    try:
        with socket.create_connection(address, timeout=_ANSWER) as connection:
            if not carried:
                return True
            connection.settimeout(0.1)
            return connection.recv(1) != b""
    except TimeoutError:
        return True
    except OSError:
        return False


def _http(address: tuple[str, int], path: str) -> bool:
    import http.client

    connection = http.client.HTTPConnection(*address, timeout=_ANSWER)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return 200 <= connection.getresponse().status < 400
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _exec(state: Path, record: records.Record, asked: Exec) -> bool:
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        return execute(state, record.id, asked.command, stdio=Stdio(null, null, null)) == 0
    except RunError:
        return False
    finally:
        os.close(null)
