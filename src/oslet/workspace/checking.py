"""Checking: what a declaration's checks say of an image, and of the same image with nothing left out."""

from __future__ import annotations

import hashlib
import http.client
import os
import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Literal, NamedTuple

from oslet.bind import check_with, start_with
from oslet.errors import RunError
from oslet.model.check import Answer, Outcome, Verdict
from oslet.model.image import Built
from oslet.model.instance import Arguments
from oslet.model.oslet import Check, Start, Tcp
from oslet.run import Sealed, Wish, await_healthy, execute, logs, remove, remove_volume, wait
from oslet.run.monitor import Stdio
from oslet.workspace.watching import untrimmed

if TYPE_CHECKING:
    from oslet.workspace import Workspace
    from oslet.workspace.running import Running

PATIENCE = 120.0
"""Seconds that one check may take, or an instance to become healthy."""
SHOWN = 400
"""Characters of an answer that are kept to be shown; all of it is compared."""
MOST = 16 << 20
"""Bytes of an answer that are compared."""


class Asking(NamedTuple):
    """What is asked, and how instances for it are started: each side gets the same name and ports, so that these
    make no difference."""

    workspace: Workspace
    built: Built
    checks: tuple[Check, ...]
    arguments: Arguments
    wish: Wish
    contract: Start
    ports: dict[int, int]


def outcomes(
    workspace: Workspace, built: Built, checks: Sequence[Check], arguments: Arguments, wish: Wish
) -> tuple[Outcome, ...]:
    """Each check's outcome, in their order. No instance and no volume is left.

    Where the two sides differ, the untrimmed one is asked a second time: what then differs from itself is unsteady.
    """
    contract = start_with(built.image.start, arguments)
    shared = (wish.network or contract.network) == "host"
    ports = {} if shared else {int(port): _free_port() for port in contract.ports}
    wish = wish._replace(
        name=f"test-{secrets.token_hex(6)}",
        publish=tuple(f"127.0.0.1:{host}:{inside}" for inside, host in ports.items()),
    )
    filled = tuple(check_with(check, arguments) for check in checks)
    asking = Asking(workspace, built, filled, arguments, wish, contract, ports)
    trimmed = _answers(asking, None, "trimmed")
    with workspace.store.writing():
        bare = untrimmed(workspace, built)
        whole = _answers(asking, bare, "untrimmed")
        again = whole if whole == trimmed else _answers(asking, bare, "untrimmed again")
    found = []
    for check, one, other, third in zip(checks, trimmed, whole, again, strict=True):
        verdict: Verdict = "same" if one == other else "different" if third == other else "unsteady"
        found.append(Outcome(check.name, _way(check), verdict, one, other))
    return tuple(found)


def _way(check: Check) -> Literal["run", "exec", "http"]:
    return "run" if check.run else "exec" if check.exec else "http"


def _answers(asking: Asking, sealed: Sealed | None, side: str) -> tuple[Answer, ...]:
    """All answers of one side. What can't be started or asked is an answer, too: the other side may do it."""
    found = []
    with ExitStack() as ends:
        served: Running | RunError | None = None
        for number, check in enumerate(asking.checks):
            asking.workspace.progress(f"{side}: {check.name}", number, len(asking.checks))
            try:
                if check.run:
                    found.append(_run(asking, sealed, check.run))
                    continue
                if served is None:
                    try:
                        served = _healthy(asking, ends.enter_context(_started(asking, sealed, ())))
                    except RunError as error:
                        served = error
                if isinstance(served, RunError):
                    raise served
                found.append(_exec(asking, served, check.exec) if check.exec else _get(asking, check.http))
            except RunError as error:
                found.append(_refused(error))
    return tuple(found)


@contextmanager
def _started(asking: Asking, sealed: Sealed | None, command: tuple[str, ...]) -> Iterator[Running]:
    """An instance, and in the end nothing of it."""
    places = asking.workspace.places
    kind = "command" if command else "served"
    wish = asking.wish._replace(command=command, name=f"{asking.wish.name}-{kind}")
    if command:
        wish = wish._replace(publish=tuple(f"127.0.0.1:{_free_port()}:{inside}" for inside in asking.ports))
    try:
        running = asking.workspace.start(asking.built, asking.arguments, wish, sealed=sealed)
        try:
            yield running
        finally:
            running.stop(grace=1)
            running.remove()
    finally:
        with suppress(RunError):
            remove(places.state, wish.name, force=True)
        with suppress(RunError):
            remove_volume(places.data, wish.name)


def _healthy(asking: Asking, running: Running) -> Running:
    """The instance once it does its work; without a health check, once it takes connections."""
    if asking.contract.health is None and asking.contract.ports:
        await_healthy(asking.workspace.places.state, running.id, Tcp(), timeout=PATIENCE)
        return running
    return running.ready(PATIENCE)


def _run(asking: Asking, sealed: Sealed | None, command: tuple[str, ...]) -> Answer:
    state = asking.workspace.places.state
    with _started(asking, sealed, command) as running:
        code = wait(state, running.id, PATIENCE)
        said = {"stdout": b"", "stderr": b""}
        for line in logs(state, running.id):
            said[line.stream] += line.text[: MOST - len(said[line.stream])]
    return Answer(code, {stream: _text(data) for stream, data in said.items()})


def _exec(asking: Asking, running: Running, command: tuple[str, ...]) -> Answer:
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    files = {name: os.memfd_create(name, os.MFD_CLOEXEC) for name in ("stdout", "stderr")}
    try:
        code = execute(asking.workspace.places.state, running.id, command, stdio=Stdio(null, *files.values()))
        return Answer(code, {name: _text(os.pread(file, MOST, 0)) for name, file in files.items()})
    finally:
        for file in (null, *files.values()):
            os.close(file)


def _get(asking: Asking, path: str) -> Answer:
    inside = int(asking.contract.ports[0])
    connection = http.client.HTTPConnection("127.0.0.1", asking.ports.get(inside, inside), timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return Answer(answer.status, {"body": _text(answer.read(MOST))})
    except (OSError, http.client.HTTPException) as error:
        return Answer(-1, {"error": type(error).__name__})
    finally:
        connection.close()


def _refused(error: RunError) -> Answer:
    return Answer(-1, {"error": _text(str(error).encode())})


def _text(data: bytes) -> str:
    """The whole text where it is short; else its end, behind the digest of all of it."""
    text = data.decode("utf-8", "replace")
    return text if len(text) <= SHOWN else f"sha256 {hashlib.sha256(data).hexdigest()} … {text[-SHOWN:]}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
