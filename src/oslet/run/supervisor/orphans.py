"""Orphans: instances whose keeper was killed. Another process is their parent now, so their ends are seen, and their
exit codes had, by descriptors of them instead."""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import time
from contextlib import suppress
from pathlib import Path

from oslet.run import records
from oslet.run.records import Record

_GET_INFO = 3 << 30 | 64 << 16 | 0xFF << 8 | 11
"""``PIDFD_GET_INFO`` of ioctl(2), for the first version's 64 bytes; it has exit codes since Linux 6.15."""
_EXIT = 1 << 3
_UNKNOWN = 137
_KEEPER = "oslet-keeper"


def held(record: Record) -> int:
    """A descriptor of the instance's first process, if that is there; -1 otherwise."""
    try:
        process = os.pidfd_open(record.pid)
    except OSError:
        return -1
    if records.there(record):
        return process
    os.close(process)
    return -1


def orphaned(record: Record) -> bool:
    """Whether its end is another's to hear of than this process's parent's, the keeper's."""
    try:
        return _stat(record.pid)[1] != str(os.getppid())
    except OSError:
        return False


def code(process: int) -> int:
    """The exit code of what has ended; 137 where nobody can tell any more, on an old kernel. The kernel tells of it
    once its parent has reaped it, which a machine's first process does at once."""
    for _ in range(50):
        asked = bytearray(struct.pack("Q56x", _EXIT))
        try:
            fcntl.ioctl(process, _GET_INFO, asked)
        except OSError:
            break
        if struct.unpack_from("Q", asked)[0] & _EXIT:
            ended = os.waitstatus_to_exitcode(struct.unpack_from("i", asked, 60)[0])
            return ended if ended >= 0 else 128 - ended
        time.sleep(0.01)
    return _UNKNOWN


def abandon() -> None:
    """End all that the keeper has as children but this process: instances whose records are gone."""
    keeper = os.getppid()
    with suppress(OSError):
        if Path(f"/proc/{keeper}/comm").read_text().strip() != _KEEPER:
            return
        for pid in records.children(keeper):
            if pid != os.getpid():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _stat(pid: int) -> list[str]:
    """What follows the name in ``proc_pid_stat(5)``: state, parent, and on."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
