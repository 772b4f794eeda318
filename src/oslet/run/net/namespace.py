"""Network namespaces: a thread that has one as its home, and makes new ones. ``network_namespaces(7)``."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from oslet.errors import RunError

if TYPE_CHECKING:
    import ctypes

_NEWNET = 0x40000000
_T = TypeVar("_T")


def _call(name: str, *arguments: int) -> None:
    """``setns`` or ``unshare``; OSError when the kernel refuses. ``os`` has them from Python 3.12 on."""
    if own := getattr(os, name, None):
        own(*arguments)
        return
    import ctypes

    if getattr(_libc(), name)(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@cache
def _libc() -> ctypes.CDLL:
    import ctypes

    return ctypes.CDLL(None, use_errno=True)


def enter(fd: int) -> None:
    """Take the calling thread into a network namespace."""
    _call("setns", fd, _NEWNET)


def fresh() -> int:
    """Take the calling thread into a new network namespace; a descriptor of that."""
    _call("unshare", _NEWNET)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


class Home:
    """A thread in a network namespace: what is called there sees that network, sysctls included."""

    def __init__(self, fd: int | None) -> None:
        self._pool = ThreadPoolExecutor(1, "switch")
        try:
            if fd is None:
                self.fd = self._pool.submit(fresh).result()
            else:
                self.fd = fd
                self._pool.submit(enter, fd).result()
        except OSError as error:
            self._pool.shutdown(wait=False)
            raise RunError(f"a network namespace can't be made: {error.strerror}") from None

    def call(self, work: Callable[[], _T]) -> _T:
        return self._pool.submit(work).result()

    def beyond(self, work: Callable[[int], _T]) -> _T:
        """Call ``work`` in a new network namespace with its descriptor, which ``work``'s caller owns from then on."""
        return self._pool.submit(self._beyond, work).result()

    def within(self, fd: int, work: Callable[[], _T]) -> _T:
        """Call ``work`` in another network namespace."""
        return self._pool.submit(self._within, fd, work).result()

    def _within(self, fd: int, work: Callable[[], _T]) -> _T:
        try:
            enter(fd)
            return work()
        finally:
            enter(self.fd)

    def _beyond(self, work: Callable[[int], _T]) -> _T:
        fd = -1
        try:
            fd = fresh()
            return work(fd)
        except BaseException:
            if fd >= 0:
                os.close(fd)
            raise
        finally:
            enter(self.fd)

    def close(self) -> None:
        self._pool.shutdown()
        os.close(self.fd)


def sysctl(name: str, value: str, folder: int | None = None) -> None:
    """Set one of the calling thread's network namespace; ``name`` is below ``net``, or below a ``folder`` that is open.
    OSError where the kernel has none such, or says no."""
    path = f"/proc/sys/net/{name}" if folder is None else name
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def sysctls(values: dict[str, str]) -> None:
    """As ``sysctl``, without those that can't be set."""
    for name, value in values.items():
        with suppress(OSError):
            sysctl(name, value)
