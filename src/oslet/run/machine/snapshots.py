"""Snapshots of guests that wait, and what a clone of one is made from.

A snapshot is a folder on a tmpfs: ``memory``, the guest's memory, of which each clone has its own view (MAP_PRIVATE);
``state``, its processors and devices; and ``script``, what a clone's QEMU is asked. It holds whatever the guest had
in memory when it was taken: so it is taken of guests that have no arguments and no secrets yet.

Only memory that stands in a shared file stays out of ``state`` (QEMU's x-ignore-shared), and the guest is running when
it is taken, so that a clone runs by itself when it has read it.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oslet.codec import digest
from oslet.errors import RunError
from oslet.run.machine.qmp import Qmp, session

MEMORY, STATE, SCRIPT = "memory", "state", "script"
_IGNORED = {"capabilities": [{"capability": "x-ignore-shared", "state": True}]}
_PATIENCE = 60.0
_PAUSE = 0.001


def place(room: Path, *facts: object) -> Path:
    """Where the snapshot of such a guest is, or would be: ``facts`` are all that it was made of."""
    return room / digest(facts)[:32]


def make(folder: Path, inside: str, run: Callable[[Path], Path]) -> Path:
    """The snapshot ``folder``; made unless it is there, whole or not at all. ``run`` starts a guest whose memory is the
    file ``memory`` of the folder that it is given, waits until it can be taken, and tells where QEMU's socket is;
    ``inside`` is that folder's path for QEMU."""
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    try:
        with session(run(fresh)) as qemu:
            take(qemu, f"{inside}/{STATE}")
        (fresh / SCRIPT).write_text(script(f"{inside}/{STATE}"))
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def take(qemu: Qmp, state: str) -> None:
    """Write the state of a running guest to the file ``state``, QEMU's path, and end it. RunError if it can't be."""
    qemu.ask("migrate-set-capabilities", **_IGNORED)
    qemu.ask("migrate", uri=f"file:{state}")
    deadline = time.monotonic() + _PATIENCE
    while (about := qemu.ask("query-migrate"))["status"] != "completed":
        if about["status"] in ("failed", "cancelled") or time.monotonic() > deadline:
            why = str(about.get("error-desc") or f"it is {about['status']} after {_PATIENCE:.0f} s")[:300]
            raise RunError(f"the guest can't be kept to make clones of: {why}")
        time.sleep(_PAUSE)
    qemu.ask("quit")


def script(state: str) -> str:
    """What a clone's QEMU is asked to do: nobody needs to be there to ask."""
    asked: dict[str, dict[str, Any]] = {
        "qmp_capabilities": {},
        "migrate-set-capabilities": _IGNORED,
        "migrate-incoming": {"uri": f"file:{state}"},
    }
    return "".join(json.dumps({"execute": name, "arguments": words}) + "\n" for name, words in asked.items())
