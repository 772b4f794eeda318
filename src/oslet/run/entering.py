"""Entering: a further command in a running instance."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from oslet.run import attaching, records, wire
from oslet.run.monitor import Stdio


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
    environment = ((("TERM", os.environ.get("TERM", "xterm")),) if tty else ()) + tuple(env)
    _, record = records.find(state, ref)
    request = wire.Exec(record.id, tuple(command), environment, user, workdir, tty)
    with (
        attaching.signals() as deliver,
        attaching.streams(stdio, tty) as streams,
        attaching.attached(state, request, streams) as began,
    ):
        deliver(lambda number: attaching.signal_process(began.instance.pid, number))
        return streams.relay(began)
