"""The declaration as a value: what one application needs of an OS, and which params it leaves open."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from msgspec import Struct

from oslet.model.param import Param
from oslet.model.source import Debian, Source


class Copy(Struct, frozen=True, tag="copy", forbid_unknown_fields=True):
    """A file or folder beside the declaration, copied into the image."""

    path: str


class Template(Struct, frozen=True, tag="template", forbid_unknown_fields=True):
    """A file beside the declaration, rendered with the arguments when an instance starts; never in the image.

    ``text`` is the file's content, read when the declaration is; ``mode`` is the rendered file's.
    """

    path: str
    text: str = ""
    mode: int = 0o644


class SecretFile(Struct, frozen=True, tag="secret", forbid_unknown_fields=True):
    """A secret param's value as a file on the instance's own tmpfs, mode 0400, owned by the service user."""

    param: str


class Text(Struct, frozen=True, tag="text", forbid_unknown_fields=True):
    """Literal content, for a file too small to stand beside the declaration."""

    text: str
    mode: int = 0o644


Content: TypeAlias = Copy | Template | SecretFile | Text


class File(Struct, frozen=True):
    """One ``files`` entry: an absolute path in the instance and what stands there."""

    path: str
    content: Content


class Wants(Struct, frozen=True):
    """What is to be resolved: Debian packages (``name`` or ``name=version``) and Python requirements (PEP 508)."""

    packages: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()
    recommends: bool = False


class Http(Struct, frozen=True, tag="http", forbid_unknown_fields=True):
    """Healthy when GET ``path`` on ``port`` (default: the first port) answers 2xx or 3xx."""

    path: str = "/"
    port: str = ""


class Tcp(Struct, frozen=True, tag="tcp", forbid_unknown_fields=True):
    """Healthy when ``port`` accepts a connection."""

    port: str = ""


class Exec(Struct, frozen=True, tag="exec", forbid_unknown_fields=True):
    """Healthy when ``command``, run inside the instance, exits 0."""

    command: tuple[str, ...]


Health: TypeAlias = Http | Tcp | Exec


class User(Struct, frozen=True, forbid_unknown_fields=True):
    """The service user. ``uid`` 0 is root; unset ids are taken from the image's users of that name."""

    name: str = "root"


class Warm(Struct, frozen=True, forbid_unknown_fields=True):
    """What can be done before an instance has its arguments, once for many instances.

    ``modules`` are Python modules that waiting instances have imported. ``prepare`` is a command that fills the
    volume ``snapshot``, run once in an instance of its own; each fresh volume then begins as a clone of what it left.
    """

    modules: tuple[str, ...] = ()
    snapshot: str = ""
    prepare: tuple[str, ...] = ()


Kernel: TypeAlias = Literal["auto", "tiny", "net", "full", "distribution"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)
"""What a microVM boots: the smallest class that holds what the image asks for, a class, or Debian's own kernel."""


class Machine(Struct, frozen=True, forbid_unknown_fields=True):
    """What an instance has for hardware when it runs as a microVM: ``memory`` is in bytes."""

    kernel: Kernel = "auto"
    memory: int = 256 << 20


class Start(Struct, frozen=True):
    """The start contract: how an instance of the image is started and talked to. Texts may hold ``{param}``.

    ``url`` is what a client connects with: beside params it may hold ``{host}``, and secrets.
    """

    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    workdir: str = "/"
    user: str = "root"
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    health: Health | None = None
    network: Literal["private", "host", "none"] = "private"
    capabilities: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    url: str = ""
    warm: Warm = Warm()
    machine: Machine = Machine()


Level: TypeAlias = Literal["packages", "safe", "lean"]
"""How much is left out: what no application reads; what nothing reaches, of packages that nobody named; of all."""

FeatureValue: TypeAlias = bool | str | tuple[str, ...]


class Check(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that an image must do the same trimmed and untrimmed.

    Exactly one of ``run`` (a command in a fresh instance, instead of the image's), ``exec`` (a command inside a healthy
    instance) and ``http`` (a path to GET from it) is set. Exit code or status, and what is said, are compared.
    """

    name: str
    run: tuple[str, ...] = ()
    exec: tuple[str, ...] = ()
    http: str = ""


class Rule(Struct, frozen=True, tag="rule", forbid_unknown_fields=True):
    """What to do in a maintainer script's stead; each field adds to the tree.

    ``users`` are ``name`` or ``name:group:home``; ``directories`` are ``path`` or ``path:mode:user:group``;
    ``links`` map a path to its target; ``files`` map a path to its text.
    """

    users: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    links: dict[str, str] = {}
    files: dict[str, str] = {}


class Policy(Struct, frozen=True):
    """How the image is cut and what its maintainer scripts become.

    ``features`` are the switches that the declaration sets, by their dotted names (``postgres.jit``), in name order.
    """

    trim: Level = "safe"
    features: tuple[tuple[str, FeatureValue], ...] = ()
    keep: tuple[str, ...] = ()
    setuid: tuple[str, ...] = ()
    scripts: tuple[tuple[str, Literal["ignore", "run"] | Rule], ...] = ()


class Oslet(Struct, frozen=True):
    """What one application needs of an OS, and which params it leaves open."""

    name: str
    wants: Wants = Wants()
    source: Source = Debian()
    files: tuple[File, ...] = ()
    params: tuple[Param, ...] = ()
    start: Start = Start()
    policy: Policy = Policy()
    checks: tuple[Check, ...] = ()
    help: str = ""
