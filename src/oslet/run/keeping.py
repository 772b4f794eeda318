"""Keeping: how the keeper of a state folder is started, by whoever finds none. ``native/keeper.c`` is its program."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from oslet.codec import canonical
from oslet.errors import RunError
from oslet.run import ids, native
from oslet.run.monitor import above, map_ids, readable
from oslet.run.tools import Tools

SETTINGS, LOG = "supervisor.json", "supervisor.log"
_PATIENCE = 30.0
_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH", "XDG_RUNTIME_DIR")
_TAKEN = 75
"""The keeper's exit code when another one keeps the folder: EX_TEMPFAIL of sysexits.h."""


class Settings(Struct, frozen=True):
    """What a supervisor is to work with: programs, and the ids around its instances."""

    crun: str
    slirp4netns: str
    outer: ids.Outer


def write(state: Path, tools: Tools) -> None:
    """Leave the settings for the next supervisor; atomic."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    wanted = Settings(str(tools.crun), str(tools.slirp4netns or ""), ids.outer())
    fresh = state / f"{SETTINGS}.{os.getpid()}.{threading.get_ident()}"
    fresh.write_bytes(canonical(wanted))
    fresh.replace(state / SETTINGS)


def start(state: Path) -> bool:
    """Start a keeper for ``state``, where ``write`` was, and return when it listens; False if there is another one."""
    outer = ids.outer()
    hears, their_says = os.pipe()
    their_hears, says = os.pipe()
    copies = [above(their_says), above(their_hears)]
    log = str(state / LOG)
    try:
        pid = os.posix_spawn(
            native.program("keeper"),
            _words(state, "user" if outer.uids else "own"),
            _environment(),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(copies, 3)),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE, signal.SIGTERM],
            setsigmask=[],
        )
    finally:
        for fd in (*copies, their_says, their_hears):
            os.close(fd)
    try:
        if readable(hears, _PATIENCE) and os.read(hears, 1):
            map_ids(pid, ids.mapping(0, 0, outer))
            os.write(says, b"g")
            if readable(hears, _PATIENCE) and os.read(hears, 1):
                return True
        _failed(pid, log)
        return False
    finally:
        os.close(hears)
        os.close(says)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def heir(state: Path, control: int, listening: int) -> None:
    """Start a keeper in the namespaces of this process, in the place of one that was killed: with the supervisor's end
    of its socket, and the socket that clients connect to."""
    given = [above(control), above(listening)]
    try:
        os.posix_spawn(
            native.program("keeper"),
            _words(state, "heir"),
            dict(os.environ),
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(given, 3)],
            setsigmask=[],
        )
    finally:
        for fd in given:
            os.close(fd)


def _words(state: Path, way: str) -> list[str]:
    supervisor = [sys.executable, "-P", "-m", "oslet.run.supervisor", str(state)]  # -P: not from the state's folder
    return ["keeper", str(state), way, "3", "4", "--", *supervisor]


def _environment() -> dict[str, str]:
    """Of whoever came first, what a supervisor for all who come later may have: it stays for as long as that one."""
    passed = {n: v for n, v in os.environ.items() if n in _PASSED_ON or n.startswith(("PYTHON", "OSLET_", "LC_"))}
    given = [str(Path(word).absolute()) for word in passed.get("PYTHONPATH", "").split(os.pathsep) if word]
    return {**passed, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *given])}


def _failed(pid: int, log: str) -> None:
    """RunError with why there is no keeper, unless another one was quicker."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.waitstatus_to_exitcode(status) == _TAKEN:
        return
    with suppress(OSError, IndexError):
        said = Path(log).read_text("utf-8", "replace").strip().splitlines()[-1][:300]
        raise RunError(
            f"instances can't be made here: {said}",
            where=log,
            hint="user namespaces must be allowed: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, "
            "kernel.apparmor_restrict_unprivileged_userns",
        )
    raise RunError("instances can't be made here: the keeper ended", where=log)
