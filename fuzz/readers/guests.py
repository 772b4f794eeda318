"""Boot records: what a guest is told."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from fuzz.judge import Reader, promise
from oslet.formats import boot
from oslet.model.boot import Boot, Disk, GuestFile, Identity, User, Warm

_HEAD = 16


def _seeds() -> list[bytes]:
    whole = Boot(
        argv=("app", "-v"), env={"A": "b"}, workdir="/srv", user=User(5, 6, (7,), 1), stop=15, read_only=True,
        identity=Identity("h", "10.0.2.15/24", "10.0.2.2", "02:00:00:00:00:01", 1400, b"seed", 1),
        files=(GuestFile("/etc/x", b"data", 0o600, secret=True),), disks=(Disk("serial:d", "/data", owner=(1, 2)),),
        warm=Warm(("python3", "-"), b"pass"),
    )  # fmt: skip
    return [boot.encode(each)[_HEAD:] for each in (whole, Boot(), Boot(argv=("a",)))]


def _boot(data: bytes, room: Path) -> object:
    """The entries with a header that is right; what is read is written, and read again as the same."""
    found = boot.decode(boot.MAGIC + struct.pack("<II", len(data), zlib.crc32(data)) + data, where="fuzzed")
    promise(boot.decode(boot.encode(found)) == found, "a record that isn't written as it was read")
    return found


READERS = (Reader("boot", "formats/boot.py", _seeds, _boot, (b"\x08\x00", b"/../", b"\x00=")),)
