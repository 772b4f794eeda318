"""The boot record: what is written is read, and nothing else is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from oslet.errors import DeclarationError, IntegrityError
from oslet.formats import boot
from oslet.model.boot import Boot, Disk, GuestFile, Identity, User, Warm

WHOLE = Boot(
    argv=("app", "-v"), env={"A": "b", "E": ""}, workdir="/srv", user=User(5, 6, (7,), 1), stop=15, read_only=False,
    identity=Identity("h", "10.0.2.15/24", "10.0.2.2", "02:00:00:00:00:01", 1400, b"seed", 1),
    files=(GuestFile("/etc/x", b"data\0more", 0o600, 1, 2, secret=True),),
    disks=(Disk("serial:d", "/data", owner=(1, 2)), Disk("/dev/vdb", "/b", "erofs", read_only=True)),
    warm=Warm(("python3", "-"), b"pass"),
)  # fmt: skip


@pytest.mark.parametrize("told", [WHOLE, Boot()])
def test_what_is_written_is_read_raw_and_as_text(told: Boot) -> None:
    record = boot.encode(told)
    assert boot.decode(record) == boot.decode(record + bytes(100)) == told
    assert boot.decode(boot.text(record).encode() + b"\n") == told
    assert boot.begins(record) and boot.begins(boot.text(record).encode())


@given(some.data())
def test_a_record_that_was_changed_is_refused(data: some.DataObject) -> None:
    record = bytearray(boot.encode(WHOLE))
    at = data.draw(some.integers(0, len(record) - 1))
    record[at] ^= data.draw(some.integers(1, 255))
    with pytest.raises(IntegrityError):
        boot.decode(bytes(record))


@pytest.mark.parametrize(
    "told",
    [
        Boot(argv=("a\0b",)),
        Boot(env={"A=": "b"}),
        Boot(env={"": "b"}),
        Boot(workdir="relative"),
        Boot(files=(GuestFile("/a/../b", b""),)),
        Boot(files=(GuestFile("a", b""),)),
        Boot(user=User(-1)),
        Boot(stop=99),
        Boot(identity=Identity(hostname="h" * 65)),
    ],
)
def test_what_a_record_cannot_hold_is_not_written(told: Boot) -> None:
    with pytest.raises(DeclarationError):
        boot.encode(told)


def test_the_command_line_takes_no_secret_and_no_novel() -> None:
    assert boot.decode(boot.command_line(Boot(argv=("a",))).encode()) == Boot(argv=("a",))
    for told in (WHOLE, Boot(identity=Identity(seed=b"x")), Boot(argv=("a" * 1500,))):
        with pytest.raises(DeclarationError):
            boot.command_line(told)
