"""Inside: programs of this machine's own, run as root of a user namespace that has this user's subordinate ids.

What belongs to those ids only such a root can read, change or remove (``user_namespaces(7)``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from oslet.run import ids, monitor
from oslet.run.tools import program

_GATED = 'echo r >&3; read -r _ <&4; exec 3>&- 4<&-; "$@" && exit; echo "$?" >"$0"; exit 1'
"""The shell waits until it has its ids. A failed command's exit code goes to the file that is its name."""


def inside(mapping: ids.Mapping, command: Sequence[str], *, failed: Path, timeout: float = 60) -> bool:
    """Run ``command`` with the ids of ``mapping``'s outer namespace; whether it ended well, within ``timeout`` seconds.

    ``failed`` is a file to be, for the exit code of one that didn't. RunError where this machine refuses the namespace.
    """
    hears, their_says = os.pipe()
    their_hears, says = os.pipe()
    copies = {3: monitor.above(their_says), 4: monitor.above(their_hears)}
    try:
        pid = os.posix_spawn(
            program("unshare"),
            ["unshare", "-U", program("sh"), "-c", _GATED, str(failed), *command],
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                *((os.POSIX_SPAWN_DUP2, fd, number) for number, fd in copies.items()),
            ],
        )
    finally:
        for fd in (*copies.values(), their_says, their_hears):
            os.close(fd)
    monitor.adopt(pid)
    waiting = monitor.Monitor(pid, hears, says, failed.parent)
    try:
        monitor.hear(waiting)
        monitor.map_ids(pid, mapping)
        monitor.proceed(waiting)
        return monitor.finished(waiting, timeout) and not failed.exists()
    finally:
        monitor.close(waiting)
        monitor.kill(pid)
