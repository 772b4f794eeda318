"""Filters: the system calls that an instance may make, or that its image has no use for.

The OCI runtime's form of it is config-linux.md, seccomp; the list that nothing here widens is ``seccomp.json``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, TypeAlias

from oslet.errors import RunError
from oslet.run.config import seccomp

Mode: TypeAlias = Literal["default", "log", "image"]
"""The whole list; the same, with what the image has no use for written down; the image's own list, the rest refused."""
MODES: tuple[Mode, ...] = ("default", "log", "image")

_BEFORE = """
    brk capget capset chdir clone close close_range dup dup2 dup3 execve execveat exit exit_group fchdir fcntl fstat
    futex getcwd getdents64 getegid geteuid getgid getpid getppid getrandom gettid getuid ioctl landlock_add_rule
    landlock_create_ruleset landlock_restrict_self lseek mmap mprotect munmap newfstatat openat poll ppoll prctl
    pread64 prlimit64 read readlinkat recvfrom recvmsg restart_syscall rt_sigaction rt_sigprocmask rt_sigreturn
    sendmsg sendto set_robust_list set_tid_address setpgid setsid socketpair statx umask write writev
"""
BEFORE = frozenset(_BEFORE.split())
"""What happens behind the filter before the application does: by the OCI runtime, by the stub that waits in a slot,
and by the kernel itself, which restarts calls and returns from signals."""


def filter_of(mode: Mode, calls: Collection[str] | None) -> dict[str, Any]:
    """The filter of an instance whose image makes ``calls``. RunError where that isn't known and ``mode`` needs it."""
    whole = seccomp()
    if mode == "default":
        return whole
    if calls is None:
        raise RunError(f"the system calls of this image aren't known, which seccomp {mode!r} needs")
    wanted = {*calls, *BEFORE}
    rules: list[dict[str, Any]] = []
    for rule in whole["syscalls"]:
        if rule["action"] != "SCMP_ACT_ALLOW":
            rules.append(rule)
            continue
        rules.append({**rule, "names": [n for n in rule["names"] if n in wanted]})
        if mode == "log":
            rules.append({**rule, "names": [n for n in rule["names"] if n not in wanted], "action": "SCMP_ACT_NOTIFY"})
    return {**whole, "syscalls": [r for r in rules if r["names"]]}


def beyond(calls: Collection[str]) -> tuple[str, ...]:
    """What the list allows and an image with these ``calls`` has no use for."""
    return tuple(sorted({*every()} - {*calls, *BEFORE}))


def every() -> tuple[str, ...]:
    """All that any instance may call."""
    rules = [rule for rule in seccomp()["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW"]
    return tuple(sorted({name for rule in rules for name in rule["names"]}))
