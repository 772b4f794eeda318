"""What a client and the supervisor say to each other: JSON with its length before it, over a stream socket.

Descriptors come with a message's first byte (``SCM_RIGHTS``, unix(7)). Both ends are the same user's. A client that
imports nothing (``cli/quick.py``) says ``Words`` instead of JSON, and is answered in as few: see ``plain``.
"""

from __future__ import annotations

import array
import os
import socket
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from oslet.model.instance import Instance
from oslet.model.oslet import Http, Tcp
from oslet.run.asking import Wish

VERSION = "1"
"""Of what clients without JSON say."""
MOST = 16 << 20
"""Bytes of a message: rendered files may be in its arguments."""
_FDS = 8


class Start(Struct, frozen=True, tag="start"):
    """Start an image. ``tree`` is what it runs, as a digest and, at ``root``, as a folder; ``token`` tells a repeated
    request from another one. Three descriptors come with an ``attached`` one, or none where it is to have a terminal.
    """

    image: str
    tree: str
    root: str
    store: str
    data: str
    arguments: dict[str, Any]
    wish: Wish
    token: str
    attached: bool = False


class Exec(Struct, frozen=True, tag="exec"):
    """Run a command in an instance; descriptors as for ``Start``."""

    ref: str
    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    user: tuple[int, int] | None = None
    workdir: str | None = None
    tty: bool = False


class Visit(Struct, frozen=True, tag="visit"):
    """Run the tools that ``like`` starts beside an instance; descriptors as for ``Start``."""

    ref: str
    like: Start


class Carry(Struct, frozen=True, tag="carry"):
    """Carry the tar of a path of an instance to the second of three descriptors; or, ``into`` it, from the first; or
    ``only`` list what is there (JSON), remove it (``remove-folder``: with all that is in it), or read it (of a folder,
    the names) and ``more`` after it, where it is a guest's. What goes wrong is said on the third, and the reply is an
    exit code."""

    ref: str
    path: str
    into: bool
    only: Literal["", "list", "remove", "remove-folder", "read"] = ""
    more: tuple[str, ...] = ()


class Wait(Struct, frozen=True, tag="wait"):
    """Tell when an instance has ended. An ``attached`` client's instance ends with it, ``grace`` seconds later."""

    ref: str
    attached: bool = False
    grace: float = 10.0


class Stop(Struct, frozen=True, tag="stop"):
    """End an instance: its stop signal, ``grace`` seconds, SIGKILL; with ``remove``, nothing is left of it then."""

    ref: str
    grace: float
    remove: bool = False


class Restart(Struct, frozen=True, tag="restart"):
    """End an instance as ``Stop`` does, and begin it again with the same id, name and ports; with ``arguments`` and
    ``env`` (None takes a variable back) in the place of those it has. ``later``: its next start, whatever brings that
    about, is to have them. ``token`` tells a repeated request from another one."""

    ref: str
    token: str
    grace: float = 10.0
    arguments: dict[str, Any] = {}
    env: dict[str, str | None] = {}
    later: bool = False


class Park(Struct, frozen=True, tag="park"):
    """Keep ``count`` slots waiting for starts like this one; ``held``, only for as long as the connection."""

    like: Start
    count: int
    held: bool = False


class Copy(Struct, frozen=True, tag="copy"):
    """Make the volume ``target`` of the folder ``data`` a copy of the folder ``source``."""

    source: str
    target: str
    data: str


class Ask(Struct, frozen=True, tag="ask"):
    """How the supervisor is: its pid, and the slots that wait."""


class Probe(Struct, frozen=True, tag="probe"):
    """Ask a wired instance's health, at its own address: the exit code is 0 if it is well."""

    ref: str
    health: Http | Tcp


class Quit(Struct, frozen=True, tag="quit"):
    """End, if nothing runs; with ``force``, what runs ends first."""

    force: bool = False


Request: TypeAlias = Start | Exec | Visit | Carry | Wait | Stop | Restart | Park | Copy | Ask | Probe | Quit


class Words(NamedTuple):
    """The words of ``oslet run``, unread, of a client whose store is at ``home``; or, with the mode ``wait``, the id of
    an instance that such a client waits for. The mode of a start is ``attached`` if its descriptors come along, else
    ``detached``: only something in the background can be started then. They come as a NUL byte, the version, the mode,
    the home and the words, with NUL bytes between.
    """

    mode: str
    home: str
    words: tuple[str, ...]


class Plain(socket.socket):
    """A connection whose client reads no JSON. What such a client sends later are the numbers of signals. One that
    isn't ``attached`` is told of no end."""

    attached = False

    def signals(self) -> tuple[int, ...]:
        """Those that came; none if the client is gone."""
        try:
            return tuple(number for number in self.recv(64, socket.MSG_DONTWAIT) if 0 < number < 65)
        except OSError:
            return ()


class Started(Struct, frozen=True, tag="started"):
    """An instance runs; with a terminal, the other end of it comes along. ``notice`` is for a person."""

    instance: Instance
    notice: str = ""


class Ended(Struct, frozen=True, tag="ended"):
    code: int


class Failed(Struct, frozen=True, tag="failed"):
    """Why there is none: an error by its class's name, and its faults."""

    kind: str
    faults: tuple[tuple[str, str, str], ...]


class Waiting(Struct, frozen=True, tag="waiting"):
    """The supervisor's pid, its living instances' ids, and how many slots wait, by image."""

    pid: int
    instances: tuple[str, ...]
    slots: dict[str, int]


Reply: TypeAlias = Started | Ended | Failed | Waiting


def plain(reply: Reply, *, attached: bool) -> bytes:
    """``a`` (``d`` in the background), the id, image and notice of what was started, with NUL bytes between; ``e`` and
    the exit code; or ``f``: the client is to begin anew, as one that can be told more."""
    match reply:
        case Started(instance, notice):
            return "\0".join((f"{'a' if attached else 'd'}{instance.id}", instance.image, notice)).encode(
                "utf-8", "replace"
            )
        case Ended(code):
            return b"e%d" % code
        case _:
            return b"f"


_encoder = msgspec.json.Encoder()
_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def send(connection: socket.socket, message: Request | Reply, fds: tuple[int, ...] = ()) -> None:
    if isinstance(connection, Plain):
        data = plain(message, attached=connection.attached)  # type: ignore[arg-type]
    else:
        data = _encoder.encode(message)
    whole = len(data).to_bytes(4, "little") + data
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sent = connection.sendmsg([whole], rights, socket.MSG_NOSIGNAL)
    if sent < len(whole):
        connection.sendall(whole[sent:], socket.MSG_NOSIGNAL)


def read_request(connection: socket.socket) -> tuple[Request | Words, tuple[int, ...]] | None:
    """None at the end. ValueError for what is no request."""
    data, fds = _read(connection)
    if data[:1] == b"\0":
        version, mode, home, *words = data[1:].decode("utf-8", "surrogateescape").split("\0")
        return Words(mode if version == VERSION else "", home, tuple(words)), fds
    try:
        return (_requests.decode(data), fds) if data else None
    except msgspec.MsgspecError as error:
        close(fds)
        raise ValueError(str(error)) from None


def read_reply(connection: socket.socket) -> tuple[Reply, tuple[int, ...]] | None:
    data, fds = _read(connection)
    return (_replies.decode(data), fds) if data else None


def _read(connection: socket.socket) -> tuple[bytes, tuple[int, ...]]:
    """One message, and no byte of the next; nothing at the end."""
    head, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_LEN(4 * _FDS), socket.MSG_CMSG_CLOEXEC)
    fds: tuple[int, ...] = ()
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds += tuple(array.array("i", data[: len(data) // 4 * 4]))
    try:
        size = int.from_bytes(head + _exactly(connection, 4 - len(head)) if head else b"", "little")
        if size > MOST:
            raise ValueError(f"a message of {size} bytes")
        return (_exactly(connection, size), fds) if head else (b"", ())
    except BaseException:
        close(fds)
        raise


def _exactly(connection: socket.socket, size: int) -> bytes:
    whole = b""
    while len(whole) < size:
        part = connection.recv(min(size - len(whole), 1 << 20))
        if not part:
            raise ConnectionResetError("a message ends too soon")
        whole += part
    return whole


def close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)
