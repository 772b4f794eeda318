"""The applications whose images are weighed: their declarations at each level, and a short test drive of each."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bench.measure import ROOT, Skip, command
from oslet.bind import bind
from oslet.errors import OsletError
from oslet.model.image import Built
from oslet.run import Sealed, Wish
from oslet.workspace import Declared, Workspace
from oslet.workspace.running import Running

PASSWORD = "correct horse"

FASTAPI = """\
name = "fastapi"
packages = ["python3"]
wheels = ["fastapi", "uvicorn"]
command = ["python3", "-m", "uvicorn", "app:api", "--app-dir", "/app", "--host", "0.0.0.0", "--port", "8080"]
ports = [8080]
files = { "/app" = "./app" }
health = { http = "/" }
"""
FASTAPI_APP = """\
from fastapi import FastAPI

api = FastAPI()


@api.get("/")
def greet() -> dict[str, str]:
    return {"greeting": "Hello"}
"""

Drive = Callable[[int], None]
"""Use the application on a port of this machine; any exception says that it doesn't serve."""


class Bar(NamedTuple):
    """The most that an image may have: MiB uncompressed and packed (None: no bar), programs, and whether a shell."""

    size: float
    packed: float | None = None
    programs: int | None = None
    shell: bool = False


class Variant(NamedTuple):
    """One way to build it with oslet."""

    trim: str
    features: str = ""
    bar: Bar | None = None
    said: str = ""

    @property
    def words(self) -> str:
        return f"oslet, {self.trim}" + (f", {self.said}" if self.said else "")


class Application(NamedTuple):
    """One application: ``packages`` and ``wheels`` are what ``docker build`` installs for the same."""

    name: str
    variants: tuple[Variant, ...]
    drive: Drive
    packages: tuple[str, ...]
    wheels: tuple[str, ...] = ()
    suite: str = "trixie"
    example: str = ""


def _get(*paths: str) -> Drive:
    def drive(port: int) -> None:
        for path in paths:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
                answer.read()

    return drive


def _redis(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as talk:
        for said, heard in ((b"SET answer 42", b"+OK\r\n"), (b"GET answer", b"$2\r\n42\r\n")):
            talk.sendall(said + b"\r\n")
            if (got := talk.recv(100)) != heard:
                raise OSError(f"redis answers {got!r}")


def _postgres(port: int) -> None:
    import psycopg

    try:
        with psycopg.connect(host="127.0.0.1", port=port, user="postgres", password=PASSWORD) as base:
            base.execute("create table t as select 42 as answer")
            found = base.execute("select answer from t").fetchone()
    except psycopg.Error as error:
        raise OSError(f"postgres: {error}") from None
    if found != (42,):
        raise OSError("postgres answers otherwise")


def _levels(safe: Bar, lean: Bar, features: str = "", said: str = "") -> tuple[Variant, ...]:
    levels = (("packages", None), ("safe", safe), ("lean", lean))
    return tuple(Variant(trim, features, bar, said) for trim, bar in levels)


def _python(safe: Bar, lean: Bar) -> tuple[Variant, ...]:
    bare = Variant("lean", "python = { bytecode = false }", lean, "no byte code")
    return (*_levels(safe, lean), bare)


_NGINX = _levels(Bar(13, 5, 1), Bar(11, None, 1))
_POSTGRES, _POSTGRES_LEAN = Bar(85, 30, 5, True), Bar(60, None, 5, True)
_NO_JIT = "jit = false"
_ONE_LANGUAGE = 'postgres = { jit = false }, icu = ["en"], charsets = []'
APPLICATIONS = (
    Application(
        "FastAPI + uvicorn",
        _python(Bar(55, 18, 1), Bar(40, 14, 1)),
        _get("/", "/openapi.json"),
        ("python3", "python3-venv"),
        ("fastapi", "uvicorn"),
        example="fastapi",
    ),
    Application(
        "Flask + gunicorn",
        _python(Bar(48, 16, 1), Bar(32, 12, 1)),
        _get("/"),
        ("python3", "python3-venv"),
        ("flask", "gunicorn"),
        example="flask",
    ),
    Application("nginx", _NGINX, _get("/"), ("nginx",), example="nginx"),
    Application("nginx, bookworm", _NGINX, _get("/"), (), suite="bookworm", example="nginx"),
    Application("redis", _levels(Bar(20, 8, 2), Bar(18, None, 2)), _redis, ("redis-server",), example="redis"),
    Application(
        "postgres, jit off",
        (
            *_levels(_POSTGRES, _POSTGRES_LEAN, f"postgres = {{ {_NO_JIT} }}"),
            Variant("safe", _ONE_LANGUAGE, _POSTGRES, "ICU in English, no charsets"),
            Variant("lean", _ONE_LANGUAGE, _POSTGRES_LEAN, "ICU in English, no charsets"),
        ),
        _postgres,
        ("postgresql",),
        example="postgres",
    ),
)


def folder(application: Application, room: Path) -> Path:
    """A folder with the declaration and its files: of an example, or our own."""
    where = room / f"{application.example}-{application.suite}"
    if application.example != "fastapi":
        shutil.copytree(ROOT / "examples" / application.example, where, ignore=shutil.ignore_patterns("__pycache__"))
        return where
    (where / "app").mkdir(parents=True)
    (where / "fastapi.toml").write_text(FASTAPI)
    (where / "app" / "app.py").write_text(FASTAPI_APP)
    return where


def built(workspace: Workspace, where: Path, application: Application, variant: Variant) -> tuple[Declared, Built]:
    """Build one variant; all of one folder are of one lock. Skip when it can't be built."""
    file = where / f"{application.example}.toml"
    plain = where / "plain"
    if not plain.exists():
        shutil.copyfile(file, plain)
    head = f'trim = "{variant.trim}"\nfeatures = {{ {variant.features} }}\n'
    if application.suite != "trixie":
        head += f'source = {{ suite = "{application.suite}" }}\n'
    file.write_text(head + plain.read_text())
    try:
        declared = Declared.read(file)
        return declared, workspace.build(declared)
    except OsletError as error:
        raise Skip(f"{application.name}, {variant.words}: {error}") from None


def values(image: Built, room: Path) -> Mapping[str, object]:
    """What the image's params without a default are given here."""
    found: dict[str, object] = {}
    for param in image.image.params:
        if param.name == "password":
            found[param.name] = PASSWORD
        elif param.name in ("key", "certificate"):
            found[param.name] = _pair(room)[param.name]
        elif param.name == "workers":
            found[param.name] = 1
    return found


def _pair(room: Path) -> dict[str, str]:
    """A key and its certificate, PEM."""
    paths = {name: room / f"{name}.pem" for name in ("key", "certificate")}
    if not paths["key"].exists():
        words: list[str | Path] = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        words += ["-nodes", "-days", "1", "-subj", "/CN=localhost"]
        command([*words, "-keyout", paths["key"], "-out", paths["certificate"]])
    return {name: path.read_text() for name, path in paths.items()}


@contextlib.contextmanager
def started(
    workspace: Workspace, image: Built, room: Path, sealed: Sealed, wish: Wish | None = None
) -> Iterator[tuple[Running, int]]:
    """An instance on a tree, and this machine's port to it; in the end nothing of it. Raises RunError."""
    arguments = bind(image.image.params, values(image, room))
    port, inside = free_port(), arguments.values.get("port", 8080)
    name = f"bench-{secrets.token_hex(6)}"  # and its volumes are new
    wish = (wish or Wish())._replace(name=name, publish=(f"127.0.0.1:{port}:{inside}",))
    running = workspace.start(image, arguments, wish, sealed=sealed)
    try:
        yield running, port
    finally:
        running.stop(grace=3)
        running.remove()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
