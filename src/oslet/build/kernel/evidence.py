"""Facts of an image that its kernel has to answer: calls, declared things, words and paths, each with where it shows.

Calls are read from machine code (trim/calls.py). Words are looked for in what is the application's own only: a library
that knows ``AF_INET6`` knows as well how to do without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from oslet.build.kernel.derive import DARK
from oslet.build.kernel.tables import TARGETS, base
from oslet.model.kernel import Evidence
from oslet.model.oslet import Exec, Start
from oslet.trim.calls import Profile

EDITION = "1"
"""Of what ``of_file`` finds: part of the key under which it is remembered."""
_C_LIBRARY = re.compile(r"/(?:libc\.so\.6|ld-linux[^/]*\.so\.\d|ld-musl[^/]*)$")
MAX_TEXT = 4 << 20
"""Bytes of the application's own files that are looked through."""


def of_calls(profile: Profile) -> Iterator[Evidence]:
    """The system calls that the image's files can make; those of a file that can't be read are any. A call that only
    the C library makes, unasked, is ``libc:NAME``: it has sockets for name services and logs, and does without."""
    for reached in profile.reached:
        others = [who for who in reached.by if who.symbol or not _C_LIBRARY.search(who.path)]
        kind = "call" if others or reached.count > len(reached.by) else "libc"
        yield Evidence(f"{kind}:{reached.name}", str((others or reached.by)[0]))
    for path, where in profile.dark:
        yield Evidence(DARK, f"{path} may make any call ({where})")


def of_start(start: Start) -> Iterator[Evidence]:
    """What the start contract declares."""
    if start.network != "none":
        yield Evidence("network", f"network = {start.network!r}")
    for port in start.ports:
        yield Evidence("ports", f"port {port} is declared")
    for path in start.volumes:
        yield Evidence("volumes", f"volume {path} is declared")
    if start.health and not isinstance(start.health, Exec):
        yield Evidence("health", "its health is asked over a socket")
    for name in start.capabilities:
        bare = name.upper().removeprefix("CAP_")
        yield Evidence(f"capability:{bare}", f"capability {bare} is declared")
    for where, text in (("command", " ".join(start.command)), *(("env", value) for _, value in start.env)):
        yield from of_text(text, where)


def of_text(text: str, where: str) -> Iterator[Evidence]:
    """The words of the tables in a text of the application's own."""
    for word in sorted({m[0] for m in _words().finditer(text)}):
        yield Evidence(f"text:{word}", f"{where} says {word}")


def of_file(path: str, mode: int, data: bytes, *, own: bool) -> Iterator[Evidence]:
    """A file's: whether it is a script, which paths of the tables a program names, and, of the declaration's own, the
    words in it."""
    script = data.startswith(b"#!")
    if script and mode & 0o111:
        yield Evidence("script", f"{path} begins with #!")
    if script or data.startswith(b"\x7fELF"):
        for found in sorted({m[0] for m in _paths().finditer(data)}):
            yield Evidence(f"path:{found.decode()}", f"{path} names {found.decode()}")
    if own and len(data) <= MAX_TEXT and b"\0" not in data[:4096]:
        yield from of_text(data.decode("utf-8", "replace"), path)


def once(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Each fact once, where it showed first."""
    found: dict[str, Evidence] = {}
    for each in evidence:
        found.setdefault(each.fact, each)
    return tuple(found.values())


@cache
def _words() -> re.Pattern[str]:
    # Neither within a name nor a part of more colons: `x[::2]`, `std::1` and `::before` are no addresses.
    choices = "|".join(re.escape(word) for word in sorted(_named("text:"), key=len, reverse=True))
    return re.compile(rf"(?<![\w:])(?:{choices})(?![\w-])")


@cache
def _paths() -> re.Pattern[bytes]:
    return re.compile(b"|".join(re.escape(path.encode()) for path in sorted(_named("path:"))))


def _named(kind: str) -> set[str]:
    """What the tables look for, of one kind of facts."""
    facts = (fact for target in TARGETS for row in base(target).rows for fact in row.on | row.given)
    return {fact.removeprefix(kind) for fact in facts if fact.startswith(kind)}
