"""An ordinary user's way out: one slirp4netns for the whole switch, which outlives the supervisor. slirp4netns(1)."""

from __future__ import annotations

import errno
import os
import select
from ipaddress import IPv4Network
from pathlib import Path

from oslet.errors import RunError
from oslet.run.net.spawning import spawn

LINK = "tap0"
_TUN = Path("/dev/net/tun")
_PATIENCE = 10.0


def tun_obstacle() -> str:
    """Why this user can't use /dev/net/tun, or nothing. Asked by opening: what a container forbids shows only then."""
    try:
        os.close(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO)
        return f"{_TUN} is missing" if missing else f"{_TUN} is closed to you"
    return ""


def obstacle(slirp4netns: Path | None) -> str:
    """Why this user can have no way out, or nothing."""
    return tun_obstacle() or ("" if slirp4netns else "slirp4netns is missing")


def connect(slirp4netns: Path, namespace: int, network: IPv4Network, log: Path) -> int:
    """Start it; wait until it is ready. It ends when the descriptor that this returns is closed everywhere.

    It configures its link in the namespace: the ``network``'s .100, a default route by its .2.
    """
    ready, said = os.pipe()
    life, held = os.pipe()
    try:
        words = [
            "--configure", "--mtu=65520", "--disable-host-loopback", "--disable-dns", f"--cidr={network}",
            "--ready-fd=3", "--exit-fd=4", "--netns-type=path", "/proc/self/fd/5", LINK,
        ]  # fmt: skip
        spawn(slirp4netns, words, (said, life, namespace), log)
        os.close(said)
        said = -1
        if not select.select([ready], [], [], _PATIENCE)[0] or os.read(ready, 1) != b"1":
            os.close(held)
            raise RunError("the way out of instances can't be made", where=last_line(log))
        return held
    finally:
        for fd in (ready, said, life):
            if fd >= 0:
                os.close(fd)


def alive(held: int) -> bool:
    """Whether the one that ends with this descriptor still runs: a pipe that nobody reads is broken."""
    asked = select.poll()
    asked.register(held, 0)
    return not asked.poll(0)


def last_line(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip().splitlines()[-1][:200]
    except (OSError, IndexError):
        return ""
