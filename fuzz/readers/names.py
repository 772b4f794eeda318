"""Messages of the domain name system: an instance's questions, and anybody's answers."""

from __future__ import annotations

import struct
from pathlib import Path

from fuzz.judge import Reader, promise
from oslet.errors import IntegrityError
from oslet.run.net import dns


def _seeds() -> list[bytes]:
    question = b"\3api\7example\3com\0\0\1\0\1"
    head = struct.Struct(">HHHHHH")
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc6\x33\x64\2"
    alias = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x10"
    return [
        head.pack(1, 0x0100, 1, 0, 0, 0) + question,
        head.pack(1, 0x8180, 1, 2, 0, 0) + question + alias + record,
        head.pack(1, 0x0100, 1, 0, 0, 1) + question + b"\0\0\x29\x04\xd0\0\0\0\0\0\0",
    ]


def _read(data: bytes, _: Path) -> object:
    found = tuple(dns.addresses(data))
    promise(len(found) <= 256, "more addresses than records are looked at")
    asked = dns.query(data)
    if asked is None:
        raise IntegrityError("no question", where="message")
    told = dns.answer(asked, dns.NO_ERROR, found[:1])
    promise(dns.answers(told, asked, asked.number), "an answer that isn't one to its question")
    promise(tuple(dns.addresses(told)) == found[:1], "an answer without its address")
    return asked, found


READERS = (Reader("names", "run/net/dns.py", _seeds, _read, (b"\xc0\x0c", b"\0\1\0\1", b"\x3f"), 600),)
