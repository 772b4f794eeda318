"""Events: what happened to instances, a line of JSON each, for whoever wants to follow."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from oslet.run.events import FILE, OLD
from oslet.run.records import Record

_LIMIT = 1 << 20


class Events:
    """The file, and the one before it. Whoever removes it ends it until the next supervisor."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE
        self._lock = threading.Lock()
        self._file = self._opened()

    def _opened(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def tell(self, event: str, record: Record, **more: Any) -> None:
        line = {"time": time.time(), "event": event, "id": record.id, "name": record.name, "image": record.image_name}
        data = msgspec.json.encode({**line, **more}) + b"\n"
        with self._lock:
            os.write(self._file, data)  # one call, so that a reader sees whole lines
            if os.fstat(self._file).st_size > _LIMIT:
                self._path.replace(self._path.with_name(OLD))
                os.close(self._file)
                self._file = self._opened()
