"""Further applications as data: what each one's image is made of, and one short thing that it must do."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import tomli_w

from bench.measure import ROOT

Kind = Literal["packages", "wheels"]
PATIENCE = 60.0
"""Seconds that a server has until it answers, and that any other check may last."""


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One application. Exactly one of ``run``, ``serve`` and ``python`` is set.

    ``run`` is a command in a fresh instance, given ``stdin``, that exits 0 and says ``expect``. ``python`` is a program
    that says it. ``serve`` is a server that is asked on ``port``: for ``http``, or with ``send`` (Latin-1, as is what
    it answers); or by a command inside, ``ask``, which is its health check too. With ``peer`` there is somebody to
    call: HTTP on ``{peer}``, TLS on ``{tls}``, its authority in ``/peer.pem``; both say "hello from the peer".
    """

    name: str
    expect: str
    packages: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()
    run: tuple[str, ...] = ()
    stdin: str = ""
    python: str = ""
    serve: tuple[str, ...] = ()
    port: int = 0
    http: str = ""
    send: str = ""
    ask: tuple[str, ...] = ()
    peer: bool = False
    user: str = "root"
    env: dict[str, str] = {}
    files: dict[str, str] = {}
    scripts: dict[str, Literal["ignore", "run"]] = {}
    note: str = ""

    def declaration(self, trim: str) -> str:
        """The declaration at one level, as TOML."""
        value: dict[str, Any] = {"name": f"{self.name}-{trim}", "trim": trim, "user": self.user}
        value["packages"] = list(self.packages) or ["python3"]
        value["command"] = list(self.run or self.serve or ("python3", "/app/check.py"))
        if self.wheels:
            value["wheels"] = list(self.wheels)
        files = {path: {"text": text} for path, text in self.files.items()}
        if self.python:
            files["/app/check.py"] = {"text": _literal(self.python)}
        if self.port:
            value["ports"] = [self.port]
        if self.ask:
            value["health"] = {"exec": [_literal(word) for word in self.ask]}
        if self.peer:
            value["network"] = "host"
            value["params"] = {"peer": {"type": "port"}, "tls": {"type": "port"}, "ca": {"type": "str"}}
            files["/peer.pem"] = {"text": "{ca}"}
        elif not self.port:
            value["network"] = "none"
        if files:
            value["files"] = files
        for key in ("env", "scripts"):
            if getattr(self, key):
                value[key] = getattr(self, key)
        return tomli_w.dumps(value)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def cases(kind: Kind) -> tuple[Case, ...]:
    """The rows of ``bench/breadth-KIND.toml``; msgspec's located errors for a row that isn't one."""
    text = (ROOT / "bench" / f"breadth-{kind}.toml").read_text("utf-8")
    return tuple(msgspec.toml.decode(text, type=dict[str, list[Case]])["case"])


class Image(NamedTuple):
    """One built image: its digest, and its files' bytes."""

    digest: str
    size: int


class Verdict(NamedTuple):
    """What came of one check; ``said`` is the evidence when it failed."""

    passed: bool
    said: str = ""


class Failed(Exception):  # noqa: N818 (it is an answer, not a fault)
    """A build or a check that didn't do what it should; the message is what was said."""


class Tried:
    """One store and the command line over it; ``folder`` holds the declarations, ``words`` are of every ``run``."""

    def __init__(self, home: Path, folder: Path, peer: Mapping[str, str], words: tuple[str, ...] = ()) -> None:
        self.environment = {**os.environ, "OSLET_HOME": str(home)}
        self.folder = folder
        self.peer = peer
        self.words = words

    def oslet(self, *words: str, stdin: str = "", timeout: float = 900) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                (sys.executable, "-m", "oslet", *words),
                env=self.environment,
                input=stdin,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as late:
            raise Failed(f"no end after {timeout:.0f} s: {_last(_text(late.stdout) + _text(late.stderr))}") from None

    def build(self, case: Case, trim: str) -> Image:
        """Build ``case`` at a level; all levels are of one lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wants = hashlib.sha256(repr((case.packages, case.wheels)).encode()).hexdigest()[:8]
        file = self.folder / f"{case.name}-{wants}.toml"
        file.write_text(case.declaration(trim), "utf-8")
        done = self.oslet("build", str(file), "--json")
        if done.returncode:
            raise Failed(_last(done.stderr))
        built = json.loads(done.stdout)
        return Image(built["digest"], built["size"])

    def check(self, case: Case, image: str) -> Verdict:
        """Whether an image of ``case``, by digest, does what it must."""
        try:
            said = self._served(case, image) if case.serve else self._run(case, image)
        except Failed as failed:
            return Verdict(False, str(failed))
        return Verdict(True) if case.expect in said else Verdict(False, f"said no {case.expect!r}: {_last(said)}")

    def _run(self, case: Case, image: str) -> str:
        given = [word for name, value in self.peer.items() for word in (f"--{name}", value)] if case.peer else []
        done = self.oslet("run", *self.words, image, *given, stdin=case.stdin, timeout=PATIENCE)
        if done.returncode:
            raise Failed(f"exit {done.returncode}: {_last(done.stdout + done.stderr)}")
        return done.stdout + done.stderr

    def _served(self, case: Case, image: str) -> str:
        name, port = f"breadth-{uuid.uuid4().hex[:10]}", free_port()
        done = self.oslet("run", *self.words, image, "-d", "--name", name, "-p", f"127.0.0.1:{port}:{case.port}")
        if done.returncode:
            raise Failed(_last(done.stderr))
        try:
            return self._answer(case, name, port)
        finally:
            self.oslet("rm", "--force", name)

    def _answer(self, case: Case, name: str, port: int) -> str:
        def ask() -> str:
            if not case.ask:
                return http(port, case.http) if case.http else exchange(port, case.send)
            done = self.oslet("exec", name, *case.ask, timeout=PATIENCE)
            return done.stdout + done.stderr

        until, answer = time.monotonic() + PATIENCE, ""
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                answer = ask()
            if case.expect in answer:
                return answer
            if name not in self.oslet("ps").stdout:
                break
            time.sleep(0.3)
        raise Failed(f"it answered {answer[:200]!r}; its words: {_last(self.oslet('logs', name).stdout)}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def http(port: int, path: str) -> str:
    """Status and body of a GET, whatever the status is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return f"{answer.status} {answer.read(1 << 20).decode('latin-1')}"
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read(1 << 20).decode('latin-1')}"


def exchange(port: int, send: str) -> str:
    """What a server says to ``send`` in a second of silence, or until it closes."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as talk:
        talk.sendall(send.encode("latin-1"))
        talk.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while got := talk.recv(1 << 16):
                said += got
    return said.decode("latin-1")


def _last(text: str) -> str:
    return " / ".join(line.strip() for line in text.strip().splitlines()[-6:])[-700:]


def _text(said: bytes | str | None) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said or ""
