"""The ledger: held calls become uses of the whole tree's paths, links and interpreters counted too."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias, cast

from oslet.model.tree import Entry, follow
from oslet.model.watch import How, Use
from oslet.run.syscalls import NOFOLLOW, Call

_MOST_ANSWERS = 1 << 16
_MOST_PROCESSES = 4096
_HEAD = 256
"""How much of a script the kernel reads for its ``#!`` line: BINPRM_BUF_SIZE, linux/binfmts.h."""
_INTERPRETERS = 5
"""How many interpreters one execution may pass through: fs/exec.c."""

_Found: TypeAlias = tuple[tuple[str, Literal["linked"] | None], ...]
"""Paths that one path uses; those that are links on the way say so."""


class Who(NamedTuple):
    """A process: its name and its number."""

    name: str
    pid: int


class _Line:
    """What is known of one path so far."""

    __slots__ = ("count", "first", "how", "who")

    def __init__(self, who: Who) -> None:
        self.how: set[How] = set()
        self.who = who
        self.first = time.time()
        self.count = 0


class Ledger:
    """Uses of the paths in ``entries``, an instance's whole tree by path. ``root`` is that tree on disk."""

    def __init__(self, entries: Mapping[str, Entry], root: str) -> None:
        self._entries = entries
        self._root = root
        self._lines: dict[str, _Line] = {}
        self._own: set[str] = set()  # what the instance made itself at a path of the tree
        self._answers: dict[tuple[str, bool, bool], _Found] = {}
        self._processes: dict[int, Who] = {}
        self.changed = False

    def uses(self) -> tuple[Use, ...]:
        """What was used so far, by path."""
        return tuple(
            Use(path, tuple(sorted(line.how)), line.who.name, line.who.pid, line.first, line.count)
            for path, line in sorted(self._lines.items())
        )

    def who(self, thread: int) -> Who:
        """The process of a thread; remembered until ``forget``."""
        known = self._processes.get(thread)
        if known is None:
            if len(self._processes) > _MOST_PROCESSES:
                self._processes.clear()
            known = self._processes[thread] = _who(thread)
        return known

    def forget(self, thread: int) -> None:
        """The thread becomes another program."""
        self._processes.pop(thread, None)

    def note(self, call: Call, flags: int, path: str, who: Who) -> None:
        """Enter one call. ``path`` is absolute, as the process sees it;"""
        how, follows = _meaning(call, flags)
        if how == "filled":
            self._fill(path, who)
            return
        found = self._find(path, follows, how == "run")
        for each, way in found:
            listed = how == "opened" and self._entries[each].kind == "dir"
            self._enter(each, way or ("listed" if listed else how), who)
        if not found and call.how == "open" and flags & os.O_CREAT:
            self._fill(path, who)

    def _fill(self, path: str, who: Who) -> None:
        """Something new at ``path``: its folder is used by that, and what stands there is the instance's own from now
        on. It is so too where something stood already: then that is what the instance would have made itself."""
        folder, _, name = path.rstrip("/").rpartition("/")
        found = self._find(folder or "/", True, False)
        for each, way in found:
            self._enter(each, way or "filled", who)
        if found:
            own = f"{found[-1][0].rstrip('/')}/{name}"
            if own in self._entries and own not in self._own:
                self._own.add(own)
                self._answers.clear()

    def _enter(self, path: str, how: How, who: Who) -> None:
        line = self._lines.get(path)
        if line is None:
            line = self._lines[path] = _Line(who)
        line.how.add(how)
        line.count += 1
        self.changed = True

    def _find(self, path: str, follows: bool, runs: bool) -> _Found:
        """The entries that ``path`` uses: links on the way, what it leads to, and for a program what that needs."""
        key = (path, follows, runs)
        known = self._answers.get(key)
        if known is None:
            if len(self._answers) > _MOST_ANSWERS:
                self._answers.clear()
            known = self._answers[key] = tuple(
                (p, h) for p, h in self._search(path, follows, _INTERPRETERS if runs else 0) if p not in self._own
            )
        return known

    def _search(self, path: str, follows: bool, interpreters: int) -> _Found:
        try:
            end, links = follow(path, self._entries.get, last=follows)
        except ValueError:
            return ()
        entry = self._entries.get(end)
        if entry is None:
            return ()  # what isn't there in the full image either is nobody's loss
        found: _Found = (*((link, "linked") for link in links), (end, None))
        if interpreters and entry.kind == "file" and (needed := interpreter(f"{self._root}{end}")):
            # The kernel opens it itself. A script's path is relative to the working folder, which nobody relies on.
            found = (*self._search(needed, True, interpreters - 1), *found)
        return found


def _meaning(call: Call, flags: int) -> tuple[How, bool]:
    """In which way a call uses its path, and whether it follows a link there: ``open(2)`` and its relatives."""
    if call.how != "open":
        return cast(How, call.how), call.follows and not (call.flags >= 0 and flags & NOFOLLOW)
    follows = not flags & os.O_NOFOLLOW
    if flags & os.O_CREAT and flags & (os.O_EXCL | os.O_TRUNC):
        return "filled", follows
    return ("looked" if flags & os.O_PATH else "opened"), follows


def interpreter(file: str) -> str:
    """The program that the kernel runs a file with: of its ``#!`` line or ELF header. Empty for none."""
    from oslet.errors import IntegrityError
    from oslet.formats import elf

    try:
        with open(file, "rb", opener=_no_link) as stream:
            head = stream.read(_HEAD)
            if head[:2] == b"#!":
                words = head[2:].split(b"\n", 1)[0].split()
                return os.fsdecode(words[0]) if words and words[0].startswith(b"/") else ""
            found = elf.read(stream)
            return found.interpreter if found else ""
    except (OSError, IntegrityError, ValueError):
        return ""


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _who(thread: int) -> Who:
    try:
        with open(f"/proc/{thread}/status", "rb") as stream:  # noqa: PTH123
            lines = stream.read(512).split(b"\n")
    except OSError:
        return Who("?", thread)
    found = dict(line.split(b":\t", 1) for line in lines if b":\t" in line)
    name = found.get(b"Name", b"?").decode("utf-8", "replace")
    return Who("".join(c if c.isprintable() else "?" for c in name), int(found.get(b"Tgid", thread)))
