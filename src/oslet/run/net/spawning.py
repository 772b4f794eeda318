"""Processes that carry the network, which outlive the supervisor that starts them."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from oslet.errors import RunError

_FIRST = 3


def spawn(program: Path, words: Sequence[str], passed: Sequence[int], log: Path) -> int:
    """Start a program in a session of its own, with the ``passed`` descriptors as 3, 4 and so on; its pid."""
    above = _FIRST + len(passed)
    copies = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in passed]
    try:
        return os.posix_spawn(
            program,
            [program.name, *words],
            {n: v for n, v in os.environ.items() if n == "LD_LIBRARY_PATH"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(copies, _FIRST)),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE],
        )
    except OSError as error:
        raise RunError(f"the network can't be made: {error.strerror}", where=str(program)) from None
    finally:
        for fd in copies:
            os.close(fd)
