"""Kernels: which options one has, and why each."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Target: TypeAlias = Literal["microvm", "uml", "machine"]
"""What a kernel runs on: a small virtual machine, a process of the host (user-mode Linux), a machine with firmware."""

Class: TypeAlias = Literal["tiny", "net", "full", "own", "distribution"]
"""Kernels that applications share, each with all of the one before: no network; a network; volumes and all that an
application may ask for. ``own`` is a kernel with an option that none of them has, ``distribution`` is Debian's."""

SHARED: tuple[Class, ...] = ("tiny", "net", "full")
"""The classes from small to large."""


class Evidence(Struct, frozen=True):
    """One fact of an image (``call:epoll_create1``, ``network``, …; build/kernel/rows), and where it shows."""

    fact: str
    where: str


class Option(Struct, frozen=True):
    """One option of a kernel: its symbol without ``CONFIG_``, its value as Kconfig writes it (``y``, ``n``, a number, a
    text in quotes), and why it is wanted."""

    symbol: str
    value: str
    why: str


class Kernel(Struct, frozen=True):
    """A kernel as it is asked for: its options, sorted by symbol; everything else is off."""

    target: Target
    name: Class
    options: tuple[Option, ...]


class Recorded(Struct, frozen=True, forbid_unknown_fields=True):
    """What a kernel's folder says of itself: the digest of the wish that it was made for, its release (``6.12.118``),
    its files with their digests, the modules to load in that order, and the packages that it was made from."""

    wanted: str
    release: str
    kernel: Kernel
    files: dict[str, str]
    modules: tuple[str, ...]
    sources: tuple[str, ...]
