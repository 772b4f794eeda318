"""Answers: what can be asked over HTTP, each route with the shape of its query, of its body and of its answer.

``INSTANCE`` in a path is an instance's name; those that may be named are the server's to say.
"""

from __future__ import annotations

import base64
import io
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from msgspec import Struct

from oslet.errors import RunError
from oslet.model.instance import Instance
from oslet.run import describing, living, output, records, transfer
from oslet.run.living import GRACE, Stats
from oslet.run.within import Memory, Process, System, processes, system, within

LARGEST = 8 << 20
"""Bytes of a file that is read or written over HTTP: ``oslet cp`` has no such bound."""
_LINES = 1000
_LOGGED = 4 << 20
"""Lines, and bytes of them, in one answer."""


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No query, no body, or an answer that only says that it is done."""


class Restart(Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments and variables in the place of those that it has (null takes a variable back); ``grace`` are seconds
    between its stop signal and SIGKILL; ``later`` ends nothing: its next start is to have them."""

    arguments: dict[str, Any] = {}
    env: dict[str, str | None] = {}
    grace: float = GRACE
    later: bool = False


class Stop(Struct, frozen=True, forbid_unknown_fields=True):
    grace: float = GRACE


class Ended(Struct, frozen=True):
    """Null while it runs."""

    exit_code: int | None


class Signal(Struct, frozen=True, forbid_unknown_fields=True):
    """By its name (HUP, SIGTERM) or number."""

    signal: str


class Logs(Struct, frozen=True, forbid_unknown_fields=True):
    """The last ``tail`` lines of those that came after ``since`` (POSIX seconds)."""

    tail: int = 100
    since: float = 0.0


class Line(Struct, frozen=True):
    stream: str
    time: float
    text: str


class At(Struct, frozen=True, forbid_unknown_fields=True):
    """An absolute path in the instance."""

    path: str


class Erase(Struct, frozen=True, forbid_unknown_fields=True):
    """``recursive``: a folder with all that is in it."""

    path: str
    recursive: bool = False


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """A file's bytes, in Base64, and its permission bits."""

    content: str
    mode: int = 0o644


class Asked(NamedTuple):
    """One request: where instances are, which one is meant (none for all that are managed), and what came with it."""

    state: Path
    managed: tuple[str, ...]
    instance: str
    pid: int
    query: Any
    body: Any


class Route(NamedTuple):
    """One thing that can be asked. ``changes`` are refused where the door is read-only."""

    method: str
    path: str
    summary: str
    answer: Callable[[Asked], Any]
    gives: Any
    query: type[Struct] = Nothing
    body: type[Struct] = Nothing
    changes: bool = False


def _all(asked: Asked) -> tuple[Instance, ...]:
    there = {i.name: i for i in records.instances(asked.state)}
    return tuple(there[name] for name in asked.managed if name in there)


def _describe(asked: Asked) -> describing.Description:
    return describing.describe(asked.state, asked.instance)


def _restart(asked: Asked) -> Instance:
    body: Restart = asked.body
    return living.restart(
        asked.state, asked.instance, body.arguments, env=body.env, grace=_grace(body.grace), later=body.later
    )


def _stop(asked: Asked) -> Ended:
    return Ended(living.stop(asked.state, asked.instance, _grace(asked.body.grace)))


def _grace(seconds: float) -> float:
    if 0 <= seconds <= 3600:
        return seconds
    raise RunError("grace is a number of seconds, at most an hour", where="grace")


def _exit(asked: Asked) -> Ended:
    return Ended(living.inspect(asked.state, asked.instance).exit_code)


def _env(asked: Asked) -> dict[str, str]:
    return describing.environment(asked.state, asked.instance)


def _processes(asked: Asked) -> tuple[Process, ...]:
    return processes(within(asked.state, _record(asked)))


def _signal(asked: Asked) -> Nothing:
    describing.signal_process(asked.state, asked.instance, asked.pid, asked.body.signal)
    return Nothing()


def _memory(asked: Asked) -> Memory:
    return within(asked.state, _record(asked)).memory()


def _usage(asked: Asked) -> Stats:
    return living.stats(asked.state, asked.instance)


def _network(asked: Asked) -> describing.Network:
    return describing.describe(asked.state, asked.instance).network


def _system(asked: Asked) -> System:
    record = _record(asked)
    return system(within(asked.state, record), describing.hostname(record))


def _record(asked: Asked) -> records.Record:
    return records.find(asked.state, asked.instance)[1]


def _logs(asked: Asked) -> tuple[Line, ...]:
    query: Logs = asked.query
    if not 0 <= query.tail <= _LINES:
        raise RunError(f"at most {_LINES} lines at once", where="tail")
    found, size = [], 0
    for line in reversed(list(output.logs(asked.state, asked.instance, tail=query.tail, since=query.since))):
        size += len(line.text)
        if size > _LOGGED:
            break
        found.append(Line(line.stream, line.time, line.text.decode("utf-8", "replace")))
    return tuple(reversed(found))


def _entries(asked: Asked) -> tuple[transfer.Entry, ...]:
    return transfer.entries(asked.state, asked.instance, _absolute(asked.query.path))


def _erase(asked: Asked) -> Nothing:
    transfer.erase(asked.state, asked.instance, _absolute(asked.query.path), whole=asked.query.recursive)
    return Nothing()


def _absolute(path: str) -> str:
    if path.startswith("/") and "\0" not in path and len(path.encode()) < 4096:
        return path
    raise RunError("a path begins at the instance's root", where="path", hint="write /etc/hosts")


class _Bounded(io.BytesIO):
    """Takes no more than a file may have, and its header."""

    full = False

    def write(self, block: Any) -> int:
        self.full = self.full or self.tell() + len(block) > LARGEST + (64 << 10)
        if self.full:
            raise OSError("too large")
        return super().write(block)


def _read(asked: Asked) -> File:
    path, into = _absolute(asked.query.path), _Bounded()
    try:
        transfer.fetch(asked.state, asked.instance, path, into)
    except RunError:
        if into.full:
            raise RunError(f"it has more than {LARGEST >> 20} MiB", where=path, hint="oslet cp") from None
        raise
    into.seek(0)
    with tarfile.open(fileobj=into, mode="r|") as tar:
        member = tar.next()
        source = tar.extractfile(member) if member and member.isreg() else None
        if member is None or source is None:
            raise RunError("it is no file", where=path)
        return File(base64.b64encode(source.read()).decode(), member.mode)


def _write(asked: Asked) -> Nothing:
    path, body = PurePosixPath(_absolute(asked.query.path)), asked.body
    if path.name in ("", ".", ".."):
        raise RunError("it is no file's path", where=str(path))
    try:
        content = base64.b64decode(body.content, validate=True)
    except ValueError:
        raise RunError("the content isn't Base64", where="content") from None
    if len(content) > LARGEST:
        raise RunError(f"it has more than {LARGEST >> 20} MiB", where="content", hint="oslet cp")
    transfer.put(asked.state, asked.instance, _tar(path.name, content, body.mode), f"{path.parent}/.")
    return Nothing()


def _tar(name: str, content: bytes, mode: int) -> IO[bytes]:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), mode & 0o777
        tar.addfile(member, io.BytesIO(content))
    stream.seek(0)
    return stream


_ONE = "/v1/instances/{instance}"
ROUTES = (
    Route("GET", "/v1/instances", "The instances that are managed here.", _all, tuple[Instance, ...]),
    Route("GET", _ONE, "All that is known of an instance.", _describe, describing.Description),
    Route("POST", f"{_ONE}/restart", "End it and begin it again.", _restart, Instance, body=Restart, changes=True),
    Route("POST", f"{_ONE}/stop", "End it.", _stop, Ended, body=Stop, changes=True),
    Route("GET", f"{_ONE}/exit", "Its exit code.", _exit, Ended),
    Route("GET", f"{_ONE}/env", "The environment that it was started with.", _env, dict[str, str]),
    Route("GET", f"{_ONE}/system", "Its kernel, its host's name, and how long it runs.", _system, System),
    Route("GET", f"{_ONE}/memory", "What it may have, uses, and may have yet.", _memory, Memory),
    Route("GET", f"{_ONE}/usage", "Memory, processor time, processes.", _usage, Stats),
    Route("GET", f"{_ONE}/network", "Its network and its ends.", _network, describing.Network),
    Route("GET", f"{_ONE}/logs", "The last that it wrote.", _logs, tuple[Line, ...], query=Logs),
    Route("GET", f"{_ONE}/processes", "Its processes.", _processes, tuple[Process, ...]),
    Route(
        "POST", f"{_ONE}/processes/{{pid}}/signal", "Send a signal to one.", _signal, Nothing, body=Signal, changes=True
    ),
    Route("GET", f"{_ONE}/files", "What is at a path.", _entries, tuple[transfer.Entry, ...], query=At),
    Route("DELETE", f"{_ONE}/files", "Remove what is at a path.", _erase, Nothing, query=Erase, changes=True),
    Route("GET", f"{_ONE}/files/content", "A file's bytes.", _read, File, query=At),
    Route("PUT", f"{_ONE}/files/content", "Write a file.", _write, Nothing, query=At, body=File, changes=True),
)
