"""The system calls that take a path: their numbers, and where each has its folder, path and flags.

Numbers are the kernel's own tables (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h); what
the arguments mean is in each call's manual page.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, NamedTuple

NOFOLLOW, EMPTY_PATH = 0x100, 0x1000
"""AT_SYMLINK_NOFOLLOW and AT_EMPTY_PATH, as ``openat(2)``'s relatives have them."""


class Call(NamedTuple):
    """One call. ``folder``, ``path`` and ``flags`` say which argument each is, -1 for none; ``follows``, whether a link
    at the path itself is followed unless the flags say otherwise."""

    name: str
    how: str
    folder: int
    path: int
    flags: int
    follows: bool
    x86_64: int
    aarch64: int


def _call(line: str) -> Call:
    name, how, folder, path, flags, follows, *numbers = line.split()
    return Call(name, how, int(folder), int(path), int(flags), follows == "yes", int(numbers[0]), int(numbers[1]))


CALLS = tuple(
    map(
        _call,
        """
open              open     -1 0  1 yes   2  -1
creat             filled   -1 0 -1 yes  85  -1
openat            open      0 1  2 yes 257  56
openat2           open      0 1  2 yes 437 437
execve            run      -1 0 -1 yes  59 221
execveat          run       0 1  4 yes 322 281
stat              looked   -1 0 -1 yes   4  -1
lstat             looked   -1 0 -1 no    6  -1
newfstatat        looked    0 1  3 yes 262  79
statx             looked    0 1  2 yes 332 291
access            looked   -1 0 -1 yes  21  -1
faccessat         looked    0 1 -1 yes 269  48
faccessat2        looked    0 1  3 yes 439 439
statfs            looked   -1 0 -1 yes 137  43
inotify_add_watch looked   -1 1 -1 yes 254  27
readlink          looked   -1 0 -1 no   89  -1
readlinkat        looked    0 1 -1 no  267  78
chdir             entered  -1 0 -1 yes  80  49
truncate          changed  -1 0 -1 yes  76  45
rename            changed  -1 0 -1 no   82  -1
rename            filled   -1 1 -1 no   82  -1
renameat          changed   0 1 -1 no  264  38
renameat          filled    2 3 -1 no  264  38
renameat2         changed   0 1 -1 no  316 276
renameat2         filled    2 3 -1 no  316 276
link              changed  -1 0 -1 no   86  -1
link              filled   -1 1 -1 no   86  -1
linkat            changed   0 1 -1 no  265  37
linkat            filled    2 3 -1 no  265  37
chmod             changed  -1 0 -1 yes  90  -1
fchmodat          changed   0 1 -1 yes 268  53
chown             changed  -1 0 -1 yes  92  -1
lchown            changed  -1 0 -1 no   94  -1
fchownat          changed   0 1  4 yes 260  54
utimensat         changed   0 1  3 yes 280  88
mkdir             filled   -1 0 -1 no   83  -1
mkdirat           filled    0 1 -1 no  258  34
symlink           filled   -1 1 -1 no   88  -1
symlinkat         filled    1 2 -1 no  266  36
""".strip().splitlines(),
    )
)
"""A line for each path that a call takes. ``how`` is a way of ``model.watch.How``, or ``open``, whose flags decide;
``filled`` is for the folder of a path at which the call makes something new."""


@cache
def by_number(machine: str) -> dict[int, tuple[Call, ...]]:
    """The calls of one kind of processor (``x86_64``, ``aarch64``) by number."""
    found: dict[int, tuple[Call, ...]] = {}
    for call in CALLS:
        number = call.aarch64 if machine == "aarch64" else call.x86_64
        if number >= 0:
            found[number] = (*found.get(number, ()), call)
    return found


def notified(seccomp: dict[str, Any]) -> dict[str, Any]:
    """An OCI runtime's filter (config-linux.md, seccomp) that tells a listener of these calls instead of just allowing
    them; what it forbids stays forbidden.

    ``fstat`` is ``newfstatat`` or ``statx`` with AT_EMPTY_PATH in some C libraries: it names no path, and isn't told.
    """
    told = {call.name for calls in by_number(os.uname().machine).values() for call in calls}
    rules: list[dict[str, Any]] = []
    for rule in seccomp["syscalls"]:
        names = [n for n in rule["names"] if rule["action"] != "SCMP_ACT_ALLOW" or rule.get("args") or n not in told]
        rules.append({**rule, "names": names})
        for name in (n for n in rule["names"] if n not in names):
            rules.extend(_told(name))
    return {**seccomp, "syscalls": [r for r in rules if r["names"]]}


def _told(name: str) -> list[dict[str, Any]]:
    if name not in ("newfstatat", "statx"):
        return [{"names": [name], "action": "SCMP_ACT_NOTIFY"}]
    flags = next(c.flags for c in CALLS if c.name == name)
    masked = {"index": flags, "value": EMPTY_PATH, "op": "SCMP_CMP_MASKED_EQ"}
    return [
        {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [{**masked, "valueTwo": EMPTY_PATH}]},
        {"names": [name], "action": "SCMP_ACT_NOTIFY", "args": [{**masked, "valueTwo": 0}]},
    ]
