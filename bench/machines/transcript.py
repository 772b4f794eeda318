"""Transcripts: what an example says to the same questions, as a value that is compared between forms."""

from __future__ import annotations

import difflib
import hashlib
import http.client
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from bench.machines.forms import Done, Host, Life
from oslet.codec import digest

LONG, LONGEST = 400, 4000
"""Characters from which on a line, and a text of many, is told by its digest."""


class Transcript(msgspec.Struct, frozen=True):
    """The questions with their answers, in the order in which they were asked. Nothing in it depends on the form, the
    moment, or the names, addresses and ports that a run happened to have."""

    example: str
    steps: dict[str, Any]

    @property
    def digest(self) -> str:
        return digest(self)


def difference(before: Transcript, after: Transcript, names: tuple[str, str] = ("container", "other")) -> str:
    """What two transcripts disagree in, as a unified diff of their steps; empty where they agree."""
    if before.digest == after.digest:
        return ""
    return "\n".join(difflib.unified_diff(_lines(before), _lines(after), *names, lineterm="", n=0))


def _lines(heard: Transcript) -> list[str]:
    """Each line of each answer, behind its step."""
    said = ((n, json.dumps(a, indent=1, sort_keys=True, ensure_ascii=False)) for n, a in heard.steps.items())
    return [f"{name}: {line.strip()}" for name, text in said for line in text.splitlines()]


class Hearing:
    """One example in one form: its image, and what it has answered so far."""

    def __init__(self, host: Host, image: str) -> None:
        self.host, self.image = host, image
        self.steps: dict[str, Any] = {}

    def hear(self, step: str, ask: Callable[[], Any]) -> None:
        """An answer, or what asking raised: a form that fails in one step is heard in the others."""
        try:
            answer = ask()
        except Exception as error:  # whatever it is, it is the answer
            answer = {"raised": type(error).__name__, "said": str(error)[:1500]}
        self.steps[step] = plain(answer)


def plain(answer: Any) -> Any:
    """An answer as JSON has it: bytes as text, what is long as its length and digest."""
    if isinstance(answer, Done):
        return [answer.code, plain(answer.out), plain(answer.err)]
    if isinstance(answer, bytes):
        answer = answer.decode("utf-8", "backslashreplace")
    if isinstance(answer, str) and len(answer) > (LONGEST if "\n" in answer[:LONG] else LONG):
        return f"{len(answer)} characters, sha256 {hashlib.sha256(answer.encode()).hexdigest()[:16]}"
    if isinstance(answer, dict):
        return {str(name): plain(value) for name, value in answer.items()}
    if isinstance(answer, list | tuple | set | frozenset):
        return [plain(each) for each in answer]
    return answer if isinstance(answer, str | int | float | bool | None) else repr(answer)


# What differs from run to run, and says nothing

_TIMES = re.compile(
    r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?UTC| ?[+-]\d{4}|Z)?"
    r"|\d{1,2}/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}|\d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d\.\d+"
    r"|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d"
)
_ADDRESS = re.compile(r"\b(?!127\.|0\.0\.0\.0)\d{1,3}(?:\.\d{1,3}){3}\b(?::\d{4,5})?|127\.0\.0\.1:\d{5}\b")
_NUMBERS = re.compile(
    r"\[\d+\]|(?<=signal-handler )\(\d+\)|(?<=pid[ :=])\d+|(?<=pid: )\d+|(?<=PID )\d+"
    r"|^\d+(?=:(?:[CMS] |signal-handler))"
    r"|(?<=:8000 )\(\d+\)|\b\d+#\d+: \*\d+|\b\d+#\d+(?=:)",
    re.M,
)


def told(text: bytes | str, name: str = "", *, without: str = "") -> list[str]:
    """The lines of what somebody wrote, less times, addresses, process numbers, its own ``name``, and the lines that
    ``without`` is found in."""
    said = text.decode("utf-8", "backslashreplace") if isinstance(text, bytes) else text
    for pattern, word in ((_TIMES, "TIME"), (_ADDRESS, "ADDRESS"), (_NUMBERS, "PID")):
        said = pattern.sub(word, said)
    if name:
        said = said.replace(name, "NAME")
    return [line for line in said.splitlines() if line.strip() and not (without and re.search(without, line))]


# Asking


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def http_said(
    port: int,
    path: str = "/",
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] = {},
    trust: ssl.SSLContext | None = None,
) -> list[Any]:
    """Status, headers but the date, and body."""
    talk = (
        http.client.HTTPSConnection("localhost", port, timeout=60, context=trust)
        if trust
        else http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    )
    try:
        talk.request(method, path, body, {"Host": "localhost", **headers})
        answer = talk.getresponse()
        heads = sorted(f"{n.lower()}: {v}" for n, v in answer.getheaders() if n.lower() not in _MOMENTS)
        return [answer.status, heads, answer.read()]
    finally:
        talk.close()


_MOMENTS = {"date", "last-modified", "etag", "expires"}


def until(ask: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true answer; the last one where none comes in time."""
    end = time.monotonic() + seconds
    while not (answer := ask()) and time.monotonic() < end:
        time.sleep(0.1)
    return answer


def health(life: Life) -> list[Any]:
    """A life's state, once the supervisor has asked how it is: who starts one with ``--wait`` asks for itself."""
    until(lambda: life.seen()["health"] != "starting")
    return [life.seen()[name] for name in ("state", "health", "restarts")]


def distinct(lines: Iterable[str]) -> list[str]:
    """Each line once, where how often it came is chance."""
    return list(dict.fromkeys(lines))
