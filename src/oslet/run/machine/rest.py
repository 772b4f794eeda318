"""What Firecracker and Cloud Hypervisor are told: HTTP with JSON over a unix socket of theirs."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from oslet.errors import RunError

_MOST = 1 << 16
_PATIENCE = 30.0


class Call(NamedTuple):
    """One PUT, with its body's value; None for no body."""

    path: str
    body: Any = None


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(str(self._path))


def tell(path: Path, calls: Iterable[Call]) -> None:
    """Make the calls in their order at the socket ``path``. RunError with what the monitor has against one."""
    for call in calls:
        connection = _Connection(path)
        body = None if call.body is None else json.dumps(call.body)
        try:
            connection.request("PUT", call.path, body, {"Content-Type": "application/json", "Accept": "*/*"})
            answer = connection.getresponse()
            said = answer.read(_MOST)
        except (OSError, http.client.HTTPException) as error:
            raise RunError(f"the virtual machine monitor doesn't answer: {error}", where=call.path) from None
        finally:
            connection.close()
        if answer.status >= 300:
            raise RunError(f"the virtual machine monitor refuses: {_fault(said)}", where=f"PUT {call.path}")


def _fault(said: bytes) -> str:
    """Firecracker's ``fault_message``; Cloud Hypervisor's list of causes; else the text itself."""
    try:
        value = json.loads(said)
    except ValueError:
        return ascii(said[:300].decode("utf-8", "replace"))
    if isinstance(value, dict):
        value = value.get("fault_message", value)
    return "; ".join(map(str, value))[:300] if isinstance(value, list) else str(value)[:300]
