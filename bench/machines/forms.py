"""The forms that one image runs in, and the command line that starts everything in one of them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

Form: TypeAlias = Literal["container", "uml", "qemu"]
FORMS: tuple[Form, ...] = get_args(Form)
WORDS: Mapping[Form, tuple[str, ...]] = {
    "container": (),
    "uml": ("--microvm", "--vmm", "uml"),
    "qemu": ("--microvm", "--vmm", "qemu"),
}
"""What ``oslet run`` is told beside everything else."""

PATIENCE = 180
"""Seconds that any one command may last: a guest under TCG is twenty times slower than its host."""
_KERNEL = re.compile(rb"^kernel: .*\n?", re.M)


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: bytes
    err: bytes

    @property
    def said(self) -> str:
        return (self.out + self.err).decode("utf-8", "replace")


class Unable(Exception):  # noqa: N818 (it is an answer, not a fault)
    """A command of oslet's own that failed; the message is what it said."""


class Host:
    """The command line over one store, with which everything is started in one form."""

    def __init__(self, home: Path, form: Form, words: tuple[str, ...] = ()) -> None:
        self.home, self.form = home, form
        self.words = (*WORDS[form], *words)
        self.environment = {**os.environ, "OSLET_HOME": str(home)}

    def __call__(self, *words: str, stdin: bytes = b"", code: int | None = 0, timeout: float = PATIENCE) -> Done:
        """Run ``oslet WORDS``; Unable unless it ends in time, and with ``code`` where that is one."""
        try:
            ran = subprocess.run(
                (sys.executable, "-m", "oslet", *words),
                env=self.environment,
                input=stdin,
                capture_output=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise Unable(f"oslet {' '.join(words)}: no end after {timeout:.0f} s") from None
        done = Done(ran.returncode, ran.stdout, ran.stderr)
        if code is not None and done.code != code:
            raise Unable(f"oslet {' '.join(words)}: exit {done.code}: {done.said[-1500:]}")
        return done

    def run(self, target: str, *words: str, stdin: bytes = b"", timeout: float = PATIENCE) -> Done:
        """A life in the foreground. What a guest's kernel says is the machine's word, and not the application's."""
        done = self("run", *self.words, target, *words, stdin=stdin, code=None, timeout=timeout)
        return done._replace(err=_KERNEL.sub(b"", done.err))

    @contextlib.contextmanager
    def started(self, target: str, *words: str, name: str = "", wait: bool = True) -> Iterator[Life]:
        """A life in the background, healthy unless ``wait`` says otherwise; nothing of it is left behind."""
        name = name or f"m-{uuid.uuid4().hex[:10]}"
        healthy = ("--wait",) if wait else ()
        try:
            self("run", "-d", *healthy, "--name", name, *self.words, target, *words)
            yield Life(self, name)
        finally:
            self("rm", "--force", name, code=None)


class Life:
    """One instance in the background, by its name."""

    def __init__(self, host: Host, name: str) -> None:
        self.host, self.name = host, name

    def exec(self, *command: str, stdin: bytes = b"", user: str = "") -> Done:
        done = self.host("exec", *(("-u", user) if user else ()), self.name, *command, stdin=stdin, code=None)
        return done._replace(err=_KERNEL.sub(b"", done.err))

    def logs(self) -> Done:
        done = self.host("logs", self.name)
        return done._replace(err=_KERNEL.sub(b"", done.err))

    def seen(self) -> dict[str, Any]:
        """What ``oslet ps`` knows of it."""
        there: list[dict[str, Any]] = json.loads(self.host("ps", "--all", "--json").out)
        return next(each for each in there if each["name"] == self.name)

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.host("stop", self.name)
        return int(self.host("wait", self.name).out)
