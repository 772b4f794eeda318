"""A cable whose end is a packet socket: what a guest's network card will see and say."""

from __future__ import annotations

import os
import select
import socket
import struct
from threading import Thread

from oslet.run.net.plug import Plug
from tests.run.test_run_network import NO_WAY
from tests.run.wired import Wired, wired

IP, UDP, HEAD = 14, 34, 42
"""Where the parts of a frame begin."""


def total(data: bytes) -> int:
    """The Internet checksum's sum (RFC 1071): all ones for what holds its own checksum."""
    words: int = sum(struct.unpack(f"!{len(data) // 2 + len(data) % 2}H", data + b"\0" * (len(data) % 2)))
    while words >> 16:
        words = (words & 0xFFFF) + (words >> 16)
    return words


def echo(fd: int, plug: Plug) -> list[bytes]:
    """Be a guest that answers one datagram; the frames that it saw."""
    seen = []
    while select.select([fd], [], [], 3)[0]:
        seen.append(frame := os.read(fd, 4096))
        if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
            continue
        (port_from, port_to) = struct.unpack_from("!2H", frame, UDP)
        source, target = frame[26:30], frame[30:34]
        answer = frame[6:12] + frame[:6] + frame[12:26] + target + source
        answer += struct.pack("!4H", port_to, port_from, len(frame) - UDP, 0) + frame[HEAD:]
        os.write(fd, answer)
        break
    return seen


@wired
def test_a_bared_cable_carries_whole_frames_and_the_kernel_stays_silent(wire: Wired) -> None:
    peer, guest = wire.start("peer", "shop"), wire.start("guest", "shop")
    assert wire.says(peer, guest.address, 80) == "Connection refused"  # a kernel's own answer
    fd = wire.net.bare(guest)
    try:
        assert wire.says(peer, guest.address, 80) in (*NO_WAY, "timed out")
        while select.select([fd], [], [], 0.1)[0]:
            os.read(fd, 4096)
        seen: list[bytes] = []
        answering = Thread(target=lambda: seen.extend(echo(fd, guest)))
        answering.start()
        assert wire.says(peer, guest.address, 53, socket.SOCK_DGRAM) == "hello"
        answering.join()
        frame = seen[-1]
        assert frame[:6] == b"\2\1" + socket.inet_aton(guest.address)
        assert total(frame[IP:UDP]) == 0xFFFF
        pseudo = frame[26:34] + struct.pack("!2H", socket.IPPROTO_UDP, len(frame) - UDP)
        assert total(pseudo + frame[UDP:]) == 0xFFFF
    finally:
        os.close(fd)
