"""The store's folder: where things stand, how they are published, and who may change them.

Layout::

    objects/ab/DIGEST.644   one inode per (content, permission bits)
    blobs/ab/DIGEST         whole downloads
    values/ab/DIGEST        canonical JSON
    memo/ROOM/DIGEST        answers that can be made again, each under its own checksum
    trees/DIGEST/           hard-link farms
    machines/KEY/           what trees were sealed to, for virtual machines
    kernels/KEY/            a kernel, its configuration, and what it was made from
    images/DIGEST           one record an image; tags/NAME → digest; pins/HOLDER → digest
    tmp/                    what is being written; garbage unless someone holds the lock
    lock                    flock(2): shared by writers, exclusive for gc

Everything is written under a temporary name and renamed. A record that makes things reachable for good (an image) is
published only after the file system was synced; the others are checked when they are read.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from oslet.errors import RunError

ROOMS = ("objects", "blobs", "values", "memo", "trees", "images", "tags", "pins", "tmp")
MTIME = 1
"""The modification time of everything in a tree: inodes are shared, so no package's own time could hold."""

_WAIT = 10.0


def home(environ: Mapping[str, str]) -> Path:
    """Where the store stands: $OSLET_HOME, else $XDG_DATA_HOME/oslet, else the user's (root: /var/lib/oslet)."""
    if chosen := environ.get("OSLET_HOME"):
        return Path(chosen).absolute()
    if data := environ.get("XDG_DATA_HOME"):
        return Path(data).absolute() / "oslet"
    if os.geteuid() == 0:
        return Path("/var/lib/oslet")
    return Path.home() / ".local" / "share" / "oslet"


class Disk:
    """The store's folder, with its lock and its temporary names. Threads may share one."""

    def __init__(self, root: Path, owner: int | None) -> None:
        self.root = root
        self.owner = owner if os.geteuid() == 0 else None
        self._serial = itertools.count()
        self._guard = threading.Lock()
        self._lock = -1
        self._holders = 0
        self._kept = False
        root.mkdir(parents=True, exist_ok=True)
        if not (root / "tmp").is_dir():
            for room in ROOMS:
                (root / room).mkdir(exist_ok=True)
                (root / room).chmod(0o755)  # whatever the umask: the owner of instances' files walks through here
            root.chmod(0o700)  # and nobody else: the modes of a tree mean nothing to this machine's users
        if self.owner is not None and root.stat().st_gid != self.owner:
            os.chown(root, -1, self.owner)
            root.chmod(0o710)

    def temporary(self) -> Path:
        """A name in ``tmp/`` that nobody else uses. The caller holds ``writing``."""
        return self.root / "tmp" / f"{os.getpid()}-{next(self._serial)}-{os.urandom(4).hex()}"

    def publish(self, path: Path, data: bytes, *, sync: bool = False) -> None:
        """``data`` at ``path``, whole or not at all; with ``sync`` it outlasts a power failure from here on."""
        with self.writing():
            temporary = self.temporary()
            with temporary.open("wb") as file:
                file.write(data)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            rename(temporary, path)
            if sync:
                sync_folder(path.parent)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the shared lock: nothing that is in the store now goes away. Nests; counted over threads."""
        self._acquire()
        try:
            yield
        finally:
            self._release()

    def keep(self) -> None:
        """Holds the shared lock until ``settle``: what was just written isn't reachable from anything yet."""
        if not self._kept:
            with self._guard:
                first, self._kept = not self._kept, True
            if first:
                self._acquire()

    def settle(self) -> None:
        """Ends ``keep``."""
        with self._guard:
            kept, self._kept = self._kept, False
        if kept:
            self._release()

    @contextmanager
    def alone(self, wait: float = _WAIT) -> Iterator[None]:
        """Holds the exclusive lock; raises RunError when another process goes on writing for ``wait`` seconds."""
        with self._guard:
            if self._holders:
                raise RunError("this process is building into the store", where=str(self.root), hint="wait for it")
            file = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                deadline = time.monotonic() + wait
                while True:
                    try:
                        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if time.monotonic() >= deadline:
                            raise RunError(
                                "another process is writing to the store",
                                where=str(self.root),
                                hint="try again when its build has ended",
                            ) from None
                        time.sleep(0.05)
                yield
            finally:
                os.close(file)

    def _acquire(self) -> None:
        with self._guard:
            if self._holders == 0:
                file = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(file, fcntl.LOCK_SH)
                except BaseException:
                    os.close(file)
                    raise
                self._lock = file
            self._holders += 1

    def _release(self) -> None:
        with self._guard:
            self._holders -= 1
            if self._holders == 0:
                os.close(self._lock)
                self._lock = -1

    def sync(self) -> None:
        """Everything written so far outlasts a power failure from here on (syncfs(2))."""
        file = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            import ctypes

            syncfs = getattr(ctypes.CDLL(None), "syncfs", None)
            if syncfs is None or syncfs(file) != 0:
                os.sync()
        finally:
            os.close(file)


def rename(temporary: Path, path: Path) -> None:
    """Renames over ``path``, making its folder if that is missing."""
    try:
        os.rename(temporary, path)  # noqa: PTH104 (the hot path; tests kill the process here)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.rename(temporary, path)  # noqa: PTH104


def sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
