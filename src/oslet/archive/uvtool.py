"""uv as a program: its command lines, and its answers as values."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from oslet.errors import MAX_LINES, NetworkError, ResolveError
from oslet.model.lock import Arch

if TYPE_CHECKING:
    from packaging.tags import Tag

DECLARED = ""
"""The parent of what the declaration itself asks for, in ``parents``."""

TIMEOUT = 600
MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}
GLIBC = {"3.11": "2.36", "3.12": "2.39", "3.13": "2.41"}
"""The C library that stands beside each Python in Debian and Ubuntu releases."""
OLDEST_GLIBC = "2.36"
MANYLINUX = (17, 28, *range(31, 41))
"""The glibc 2.N that uv's ``--python-platform`` has a name for."""
LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
FIRST_MANYLINUX = {"amd64": 5, "arm64": 17}


class Target(NamedTuple):
    """The image's Python version, architecture and glibc version (what that Python stands beside, when empty)."""

    python: str
    arch: Arch
    glibc: str

    def __str__(self) -> str:
        return f"Python {self.python} on {MACHINE[self.arch]} with glibc 2.{self.minor}"

    @property
    def minor(self) -> int:
        version = self.glibc or GLIBC.get(self.python, OLDEST_GLIBC)
        found = re.match(r"2\.(\d+)", version)
        if found is None:
            raise ResolveError(f"{version!r} is no glibc version that wheels are made for", where="wheels")
        return int(found[1])

    @property
    def platform(self) -> str:
        """The platform's name for uv: the newest it knows that the image's glibc satisfies."""
        known = [n for n in MANYLINUX if n <= self.minor]
        return f"{MACHINE[self.arch]}-manylinux_2_{known[-1] if known else 17}"

    def tags(self) -> Iterator[Tag]:
        """The wheel tags that the image takes, best first (PEP 425, PEP 600)."""
        from packaging.tags import compatible_tags, cpython_tags

        machine = MACHINE[self.arch]
        platforms: list[str] = []
        for n in range(self.minor, FIRST_MANYLINUX[self.arch] - 1, -1):
            platforms.append(f"manylinux_2_{n}_{machine}")
            if n in LEGACY:
                platforms.append(f"{LEGACY[n]}_{machine}")
        platforms.append(f"linux_{machine}")
        major, minor = (int(part) for part in self.python.split("."))
        short = f"cp{major}{minor}"
        yield from cpython_tags((major, minor), abis=[short], platforms=platforms)
        yield from compatible_tags((major, minor), interpreter=short, platforms=platforms)


def lock(
    requirements: Sequence[str],
    target: Target,
    *,
    exclude_newer: str = "",
    folder: Path | None = None,
    alone: bool = False,
    everything: bool = False,
) -> dict[str, Any]:
    """uv's pylock.toml (PEP 751) for these requirements, as plain values.

    ``alone`` leaves out what they need in turn; ``everything`` lists the wheels of all platforms.
    """
    flags = [*(("--no-deps",) if alone else ()), "--format", "pylock.toml"]
    flags += ["--universal"] if everything else ["--python-platform", target.platform]
    text, _ = _compile(requirements, target, ["--quiet", *flags, *_source(exclude_newer, folder)])
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ResolveError(f"uv's answer can't be read: {error}", where="wheels", hint="update uv") from None


def parents(
    requirements: Sequence[str],
    pins: Sequence[str],
    target: Target,
    *,
    exclude_newer: str = "",
    folder: Path | None = None,
) -> dict[str, dict[str, str]]:
    """For each distribution, those that need it and what they ask for (``anyio`` → ``{"starlette": "anyio>=4"}``).

    ``DECLARED`` is among them where the requirements themselves ask. ``pins`` fixes the versions.
    """
    flags = ["--annotation-style", "line", "--verbose", "--python-platform", target.platform]
    flags += _source(exclude_newer, folder)
    try:  # what the first question fetched is in uv's cache: ten times quicker than to ask the index again
        text, log = _compile(requirements, target, [*flags, "--offline"], pins)
    except (ResolveError, NetworkError):
        text, log = _compile(requirements, target, flags, pins)
    asked = _asked(log)
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        if match := re.match(r"([\w.-]+)(?:\[[^\]]*\])?==\S+.*?\s# via (.*)", line):
            name = match[1]
            via = [part.strip() for part in match[2].split(",")]
            by = [DECLARED if "requirements.in" in v else v for v in via if not v.startswith("-c ")]
            found[name] = {parent: asked.get((parent, name), name) for parent in by}
    return found


def _asked(log: str) -> dict[tuple[str, str], str]:
    """Who asks for whom, and how, as uv tells it while it resolves; its log is no promise, so this may be empty."""
    found: dict[tuple[str, str], str] = {}
    for match in re.finditer(r"transitive dependency for ([\w.-]+)==\S+: ([\w.-]+)(\[[^\]]*\])?(\{.*?\})?(.*)", log):
        parent, name, extras, _, versions = match.groups()
        versions = re.sub(r"^>=(\S+), <\1\+$", r"==\1", versions.strip()).replace("*", "")
        if parent != name:
            found.setdefault((parent, name), f"{name}{extras or ''}{versions.replace(' ', '')}")
    return found


def _source(exclude_newer: str, folder: Path | None) -> list[str]:
    flags = ["--exclude-newer", exclude_newer] if exclude_newer else []
    return [*flags, "--no-index", "--find-links", str(folder.absolute())] if folder is not None else flags


def _compile(
    requirements: Sequence[str], target: Target, flags: Sequence[str], pins: Sequence[str] = ()
) -> tuple[str, str]:
    """Run ``uv pip compile``; its standard output and its log."""
    with tempfile.TemporaryDirectory(prefix="oslet-uv-") as name:
        work = Path(name)
        work.joinpath("uv.toml").touch()  # ends uv's search for a project's settings; the user's own still hold
        work.joinpath("requirements.in").write_text("".join(f"{r}\n" for r in requirements), "utf-8")
        work.joinpath("pins.txt").write_text("".join(f"{p}\n" for p in pins), "utf-8")
        command = [_program(), "pip", "compile", "requirements.in", "--constraints", "pins.txt", "--directory"]
        command += [name, "--project", name, "--python-version", target.python, "--no-python-downloads"]
        command += [*(("--python", sys.executable) if sys.executable else ()), "--only-binary", ":all:", "--no-header"]
        command += ["--color", "never", "--no-progress", "--no-emit-index-url", *flags]
        environment = {k: v for k, v in os.environ.items() if k not in ("UV_WORKING_DIR", "UV_PROJECT", "VIRTUAL_ENV")}
        try:
            done = subprocess.run(
                command, cwd=work, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired:
            raise NetworkError(f"no answer of the Python index in {TIMEOUT} s", where="wheels") from None
    if done.returncode:
        raise _explained(done.stderr.decode("utf-8", "replace"), target)
    return done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def _program() -> str:
    import uv

    try:
        return uv.find_uv_bin()
    except FileNotFoundError:
        raise ResolveError(
            "the uv program, which chooses wheels, isn't there",
            where="wheels",
            hint="install oslet's dependencies again",
        ) from None


def _explained(text: str, target: Target) -> ResolveError | NetworkError:
    """uv's own explanation as an error of at most a dozen lines: its sentences, in the image's terms."""
    lines = [line.strip() for line in text.splitlines() if not re.match(r"(DEBUG|TRACE|INFO|warning:) ", line)]
    hints = [line.removeprefix("hint:").strip() for line in lines if line.startswith("hint:")]
    told = [re.sub(r"^(error|cause): ", "", line) for line in lines if line and not line.startswith("hint:")]
    if re.search(r"Request failed|Failed to fetch|error sending request|client error|HTTP status|dns error", text):
        what = ": ".join(told)[:600]
        return NetworkError(what, where="wheels", hint="check the network and the index that uv is set to")
    body = " ".join(line for line in told if not line.startswith("No solution found"))
    body = re.sub(r",? we can conclude that your requirements are unsatisfiable", ", this can't be had", body)
    no_wheel = r"\bha(s|ve) no (?:usable )?wheels(?: with a matching [^()]*\(e\.g\., [^()]*\))?"
    body, bare = re.subn(no_wheel, rf"ha\1 no wheel for {target}", body)
    sentences = re.split(r"(?<=[.;]) (?=[A-Z])|(?<=,) (?=we can conclude|and because)", body)
    if len(sentences) > MAX_LINES - 2:
        sentences = [*sentences[: MAX_LINES - 5], "…", *sentences[-2:]]
    hint = "loosen one of these requirements, or leave one out"
    if bare:
        there = [m[1] for hint in hints if (m := re.search(r"(?:tags?|platforms?): (.*)", hint))]
        hint = f"there are wheels for {'; '.join(there).replace('`', '')[:200]}; " if there else ""
        hint += "ask for another version, or for Debian's own package (python3-NAME) in packages"
    return ResolveError("\n  ".join(sentence[:400] for sentence in sentences), where="wheels", hint=hint)
