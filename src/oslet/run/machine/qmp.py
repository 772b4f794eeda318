"""QMP, QEMU's machine protocol: one JSON object a line, over a unix socket (docs/interop/qmp-spec.rst of QEMU)."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oslet.errors import RunError

_MOST = 1 << 20
_PATIENCE = 30.0
_PAUSE = 0.002


class Qmp:
    """A session: a question, an answer. Events that come between are passed over."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("rb")
        self._read()
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """What it returns. RunError with what QEMU has against it, or when QEMU is gone."""
        told = json.dumps({"execute": command, "arguments": arguments})
        try:
            self._connection.sendall(told.encode() + b"\n")
            while "return" not in (said := self._read()):
                if "error" in said:
                    raise RunError(f"QEMU can't do {command}: {str(said['error'].get('desc'))[:300]}")
        except OSError as error:
            raise RunError(f"QEMU is gone: {error.strerror or error}", where=command) from None
        return said["return"]

    def _read(self) -> dict[str, Any]:
        line = self._lines.readline(_MOST)
        if not line.endswith(b"\n"):
            raise OSError("it says nothing more")
        try:
            said = json.loads(line)
        except ValueError:
            raise OSError("it speaks no QMP") from None
        return said if isinstance(said, dict) else {}


@contextmanager
def session(path: Path) -> Iterator[Qmp]:
    """A session at the socket ``path``; waits for one that is to come. RunError when none does."""
    deadline = time.monotonic() + _PATIENCE
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        while True:
            try:
                connection.connect(str(path))
                yield Qmp(connection)
                return
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if time.monotonic() > deadline:
                    raise RunError(f"QEMU can't be told anything: {error.strerror}", where=str(path)) from None
                time.sleep(_PAUSE)
