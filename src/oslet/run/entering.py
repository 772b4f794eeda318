"""Entering: a further command in a running instance."""

from __future__ import annotations

import json
import os
import secrets
import signal
from collections.abc import Sequence
from pathlib import Path

from oslet.errors import RunError
from oslet.run import config, limits, monitor, records
from oslet.run.config import PLACE
from oslet.run.monitor import Stdio
from oslet.run.records import Record
from oslet.run.tools import program

_GATED = 'read -r _ <&3; exec 3<&-; exec "$@"'
"""Waits until it has been put into the instance's cgroups."""


def execute(
    state: Path,
    ref: str,
    command: Sequence[str],
    *,
    tty: bool = False,
    user: tuple[int, int] | None = None,
    env: Sequence[tuple[str, str]] = (),
    workdir: str | None = None,
    stdio: Stdio | None = None,
) -> int:
    """Run ``command`` in an instance, as its service user unless ``user`` (uid, gid) says otherwise; its exit code.

    It gets the instance's environment, capabilities, seccomp filter and limits. ``stdio`` of None is the caller's
    own: relayed, so that no file of the caller's is given to the instance's user. RunError if it can't be run.
    """
    folder, record = records.find(state, ref)
    shell = _shell(record)
    uid, gid = user or (record.uid, record.gid)
    environment = {**dict(record.env), **({"TERM": os.environ.get("TERM", "xterm")} if tty else {}), **dict(env)}
    process = config.process(
        config.Process(
            args=tuple(command),
            env=tuple(environment.items()),
            workdir=workdir or record.workdir,
            uid=uid,
            gid=gid,
            capabilities=record.capabilities,
            terminal=tty,
        )
    )
    name = f"exec-{secrets.token_hex(4)}"
    file = Path(f"/proc/{shell}/root{PLACE}/{name}.json")
    log = folder / f"{name}.log"
    try:
        file.write_text(json.dumps(process))
        code = _spawn(record, shell, state, name, log, stdio, tty)
        return _checked(code, log, command)
    except FileNotFoundError:
        raise RunError(f"{record.name} has ended") from None
    finally:
        file.unlink(missing_ok=True)
        log.unlink(missing_ok=True)


def _shell(record: Record) -> int:
    """The monitor's shell, whose namespaces hold the runtime's view of the instance."""
    below = records.children(record.monitor) if records.alive(record) else ()
    if not below or not record.pid:
        raise RunError(f"{record.name} doesn't run", hint=f"oslet logs {record.name} has what it wrote")
    return below[0]


def _spawn(record: Record, shell: int, state: Path, name: str, log: Path, stdio: Stdio | None, tty: bool) -> int:
    from oslet.run import foreground

    namespaces = ["-m", "-p", *(["-n"] if record.network == "private" else [])]
    if record.rootless:
        namespaces += ["-U", "--preserve-credentials"]
    runtime = [record.crun, "--root", str(state / "runtime"), "--log", str(log), "--cgroup-manager=disabled"]
    entered = [program("nsenter"), "-t", str(shell), *namespaces, "--", *runtime]
    whole = [*entered, "exec", "--process", f"{PLACE}/{name}.json", record.id]
    ready, go = os.pipe()
    with foreground.streams(stdio, tty) as (given, relay):
        copy = monitor.above(ready)
        try:
            pid = os.posix_spawn(
                program("sh"),
                ["sh", "-c", _GATED, "sh", *whole],
                os.environ,
                file_actions=[*monitor.stream_actions(given), (os.POSIX_SPAWN_DUP2, copy, 3)],
                setsigdef=[signal.SIGPIPE],
            )
        finally:
            os.close(copy)
            os.close(ready)
        try:
            limits.enter(tuple(Path(c) for c in record.cgroups), (pid,))
            os.write(go, b"go\n")
        finally:
            os.close(go)
        return relay(pid, lambda number: os.kill(pid, number))


def _checked(code: int, log: Path, command: Sequence[str]) -> int:
    try:
        said = log.read_text("utf-8", "replace").strip()
    except OSError:
        said = ""
    if code and said:
        raise RunError(f"{command[0]} can't be run: {said.splitlines()[-1][:300]}")
    return code
