"""Slots: finished sandboxes that the OCI runtime made, each with a stub in it that waits for what it is to become.

What the stub is told is described in docs/slots.md; its program is ``native/stub.c``.
"""

from __future__ import annotations

import array
import json
import os
import secrets
import shutil
import signal
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from oslet.errors import RunError
from oslet.run import config, limits, native, placing, records
from oslet.run.monitor import above, complaints, readable
from oslet.run.supervisor import mounts
from oslet.run.supervisor.capture import Captured
from oslet.run.supervisor.facts import Facts, Layout
from oslet.run.supervisor.launch import Launch

_MAGIC = 0x314C534F
_TERMINAL, _WARM, _LOCKED, _CARRIED = 1, 2, 4, 8
_CONTROL, _SELF = 3, 4
_MOST = 4 << 20
_PATIENCE = 60.0
"""Seconds that the runtime, or the kernel's execve, may take on a machine with much else to do."""
_NULL = "/dev/null"
_WAITS = "oslet-slot"
"""The name of a process that waits in a slot, proc_pid_comm(5); an ended one has it still."""


class Slot:
    """One sandbox: its id, the stub's pid and when that began, its cgroups, and what is prepared for its take: its root
    as a folder, descriptors of its hosts(5) and hostname(5) and of its record, pipes for its output, and a
    guest's cable."""

    def __init__(self, id: str, pid: int, root: int, control: socket.socket, groups: tuple[Path, ...]) -> None:  # noqa: A002
        self.id = id
        self.pid = pid
        self.began = records.began(pid) or 0
        self.groups = groups
        self.folder = Path(f"/proc/self/fd/{root}")
        self.captured: list[Captured] = []
        self.writing: list[int] = []
        self.names: list[int] = []
        self.plug: Any = None
        self.watcher = 0
        self.record = -1
        self.waits = False
        self.cable: int | None = None
        self.volumes: tuple[str, ...] = ()
        self._name = ""
        self._root = root
        self._control = control

    def take(self, launch: Launch) -> int | None:
        """Make it the application; the other end of its terminal, if it has one. RunError if there is no such program,
        or no such slot any more; then it is gone."""
        terminal: int | None = None
        try:
            self._control.settimeout(_PATIENCE)
            _tell(self._control, launch)
            if launch.stdio is None:
                terminal = _receive(self._control)
            said = self._control.recv(4)
        except OSError:
            said = b"gone"
        finally:
            self.close()
        if not said:
            return terminal
        if terminal is not None:
            os.close(terminal)
        number = int.from_bytes(said, "little")
        why = os.strerror(number) if said != b"gone" else "its sandbox has ended"
        raise RunError(f"the command can't be run: {launch.command[0]}: {why}")

    def wait(self, launch: Launch) -> None:
        """Have it be a program that waits in the stub's stead, and is told what the stub would be. What it writes
        meanwhile is lost unless ``launch`` says where to. RunError if it can't be one that does."""
        waiting = launch._replace(stdio=launch.stdio or (_warm(), _out(), _out()))
        self._control.settimeout(_PATIENCE)
        try:
            self._control.sendmsg([message(waiting, _WARM)], _rights(waiting))
            said = self._control.recv(4)
        except OSError:
            said = b""
        if said != b"w":
            raise RunError(f"{launch.command[0]} can't wait for its arguments", hint="is it a Python?")
        self.waits = True

    def call(self, name: str, network: str) -> None:
        """Tell it its host's name."""
        if name == self._name:
            return
        for fd, data in zip(self.names, (placing.hosts(name, network), f"{name}\n".encode()), strict=True):
            os.ftruncate(fd, 0)
            os.pwrite(fd, data, 0)
        mounts.name_host(self.pid, name)
        self._name = name

    def close(self) -> None:
        """Let go of what was for its take. What captures its output goes on."""
        self._control.close()
        for fd in (*self.names, *self.writing, self.record, self._root, self.cable):
            if fd is not None and fd >= 0:
                os.close(fd)
        self.names, self.writing, self.record, self._root, self.cable = [], [], -1, -1, None


def message(launch: Launch, flags: int = 0) -> bytes:
    """What the stub is told."""
    words = [launch.workdir, *launch.command, *(f"{name}={value}" for name, value in launch.env)]
    if any("\0" in word for word in words):
        raise RunError("a word of the command or the environment holds a NUL byte")
    text = "".join(f"{word}\0" for word in words).encode("utf-8", "surrogateescape") + launch.lock
    if len(text) > _MOST:
        raise RunError("the command and its environment are over 4 MiB")
    flags |= (0 if launch.stdio else _TERMINAL) | (_LOCKED if launch.lock else 0)
    flags |= 0 if launch.carried is None else _CARRIED
    return struct.pack("<5I", _MAGIC, len(text), len(launch.command), len(launch.env), flags) + text


def _tell(control: socket.socket, launch: Launch) -> None:
    data = message(launch)
    sent = control.sendmsg([data], _rights(launch), socket.MSG_NOSIGNAL)
    if sent < len(data):
        control.sendall(data[sent:], socket.MSG_NOSIGNAL)


def _rights(launch: Launch) -> list[tuple[int, int, array.array[int]]]:
    given = [*(launch.stdio or ()), *(() if launch.carried is None else (launch.carried,))]
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", given))] if given else []


def _receive(control: socket.socket) -> int:
    """The terminal's other end. OSError if the stub went away instead."""
    said, ancillary, _, _ = control.recvmsg(4, socket.CMSG_LEN(4), socket.MSG_CMSG_CLOEXEC)
    for _, _, data in ancillary:
        return array.array("i", data[:4])[0]
    raise OSError(f"no terminal came: {said!r}")


def fill(
    number: str,
    facts: Facts,
    layout: Layout,
    runtime: Path,
    crun: Path,
    *,
    filters: Mapping[str, Any] | None = None,
    joined: dict[str, int] | None = None,
) -> Slot:
    """A fresh slot with the id ``number``, in the ``joined`` namespaces if there are any. RunError with what the kernel
    or the runtime said."""
    place = Path(config.PLACE) / number
    place.mkdir()
    groups: tuple[Path, ...] = ()
    root = -1
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        groups = limits.make(layout.limits, number, root=Path(config.PLACE) / "cgroup")
        facts.furnish(place, layout)
        root = os.open(place / "root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        told = facts.config(layout, number)
        if filters is not None:
            told["linux"]["seccomp"] = filters
        if joined:
            config.join(told, joined)
        (place / "config.json").write_text(json.dumps(told))
        words = ["run", "-d", "--no-new-keyring", "--bundle", str(place)]
        pid = _make([*_crun(crun, runtime, place), *words], place, number, theirs)
        limits.enter(groups, (pid,))
        slot = Slot(number, pid, root, ours, groups)
        for name in ("/etc/hosts", "/etc/hostname"):
            where = slot.folder / facts.index.resolve(name)[1:]
            slot.names.append(os.open(where, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC))
        return slot
    except BaseException:
        ours.close()
        if root >= 0:
            os.close(root)
        limits.clear(groups)  # a stub may be in them already
        shutil.rmtree(runtime / number, ignore_errors=True)
        raise
    finally:
        theirs.close()
        mounts.detach(place)
        place.rmdir()


def became(pid: int) -> bool:
    """Whether a slot's process is an application, or was one until it ended; waits for one that is being told."""
    deadline = time.monotonic() + _PATIENCE
    while _comm(pid) == _WAITS and time.monotonic() < deadline:
        if records.began(pid) is None:
            return False
        time.sleep(0.001)
    return True


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def enter(into: str, process: dict[str, Any], runtime: Path, crun: Path, groups: Sequence[Path]) -> Slot:
    """A slot within a sandbox that lives already: for one more command in it."""
    number = f"exec-{secrets.token_hex(6)}"
    place = Path(config.PLACE) / number
    place.mkdir()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        (place / "process.json").write_text(json.dumps(process))
        words = ["exec", "-d", "--process", str(place / "process.json")]
        pid = _make([*_crun(crun, runtime, place), *words], place, into, theirs)
        limits.enter(tuple(groups), (pid,))
        return Slot(number, pid, -1, ours, ())
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        shutil.rmtree(place)


def _crun(crun: Path, runtime: Path, place: Path) -> list[str]:
    log = ["--log", str(place / "log"), "--log-format", "json"]
    return [str(crun), "--root", str(runtime), *log, "--cgroup-manager=disabled"]


def _make(words: list[str], place: Path, id: str, theirs: socket.socket) -> int:  # noqa: A002
    """Let the runtime make a detached process, which has the stub and its end of the socket; its pid."""
    file = place / "pid"
    whole = [*words, "--preserve-fds", "2", "--pid-file", str(file), id]
    copies = {_CONTROL: above(theirs.fileno()), _SELF: above(_stub())}
    try:
        maker = os.posix_spawn(
            whole[0],
            whole,
            {n: v for n, v in os.environ.items() if n in ("PATH", "LD_LIBRARY_PATH")},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, _NULL, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, _NULL, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                *((os.POSIX_SPAWN_DUP2, fd, number) for number, fd in copies.items()),
            ],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGHUP],
            setsigmask=[],
        )
    except OSError as error:
        raise RunError(f"the OCI runtime can't be run: {error.strerror}", where=words[0]) from None
    finally:
        for fd in copies.values():
            os.close(fd)
    ended = os.pidfd_open(maker)
    try:
        if not readable(ended, _PATIENCE):
            os.kill(maker, signal.SIGKILL)
    finally:
        os.close(ended)
        _, status = os.waitpid(maker, 0)
    if status:
        said = complaints(place / "log") or [f"the OCI runtime ended with {os.waitstatus_to_exitcode(status)}"]
        raise RunError(f"the instance can't be made: {said[-1]}", where="; ".join(said[:-1][-3:]))
    return int(file.read_text())


@cache
def _out() -> int:
    return os.open(_NULL, os.O_WRONLY | os.O_CLOEXEC)


@cache
def null() -> int:
    return os.open(_NULL, os.O_RDONLY | os.O_CLOEXEC)


def _warm() -> int:
    """The program of a Python that waits, as a file in memory to be read from its beginning."""
    return os.open(f"/proc/self/fd/{_warm_text()}", os.O_RDONLY | os.O_CLOEXEC)


@cache
def _warm_text() -> int:
    file = os.memfd_create("warm", os.MFD_CLOEXEC)
    os.write(file, native.source("warm.py"))
    return file


@cache
def _stub() -> int:
    """The stub as a sealed file in memory: an instance could not change it if it found a way to reach it, and no file
    of the machine is in its sight."""
    import fcntl

    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        file = os.memfd_create("stub", flags | 0x10)  # MFD_EXEC, which vm.memfd_noexec wants said since Linux 6.3
    except OSError:
        file = os.memfd_create("stub", flags)
    os.write(file, native.program("stub").read_bytes())
    os.fchmod(file, 0o555)
    seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    readable_only = os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)
    os.close(file)
    return readable_only
