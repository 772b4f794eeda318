"""Names: system calls by name and number. Facts of the kernel's tables (arch/x86/entry/syscalls/syscall_64.tbl,
include/uapi/asm-generic/unistd.h), in ``names.txt``: name, number on x86-64, number on AArch64; ``-`` for none."""

from __future__ import annotations

from functools import cache
from pathlib import Path


@cache
def by_number(machine: str) -> dict[int, str]:
    """The calls of one kind of processor, ``x86_64`` or ``aarch64``."""
    column = 2 if machine == "aarch64" else 1
    rows = (line.split() for line in Path(__file__).with_name("names.txt").read_text("ascii").splitlines())
    return {int(row[column]): row[0] for row in rows if row[column] != "-"}
