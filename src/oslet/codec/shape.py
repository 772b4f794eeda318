"""The shape of a declaration as it is written: the one table behind the reader, the JSON Schema and the reference.

Each struct is a TOML table; each field a key with its type, its default and its sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, Union

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from oslet.model import param as kinds

Texts: TypeAlias = list[str]
Maybe: TypeAlias = UnsetType
Octal: TypeAlias = Annotated[str, Meta(pattern="^0?[0-7]{3}$")]
Feature: TypeAlias = bool | str | Texts
UrlPath: TypeAlias = Annotated[str, Meta(pattern="^/")]


class _Table(Struct, forbid_unknown_fields=True, kw_only=True):
    """A table of the declaration: keys it doesn't name are refused."""


class SourceTable(_Table):
    """Where the files come from: a Debian suite, or an existing image."""

    oci: Annotated[
        str | Maybe,
        Meta(description="instead of Debian, an existing image: HOST/NAME:TAG, HOST/NAME@sha256:…, or the path of an "
             "OCI layout or of what `docker save` wrote; packages and wheels then name what it has"),
    ] = UNSET  # fmt: skip
    suite: Annotated[str | Maybe, Meta(description="the suite's code name; the current Debian stable when absent")] = (
        UNSET
    )
    pockets: Annotated[
        Texts | Maybe,
        Meta(description='suites read after it: "updates" is {suite}-updates; "security:security" is '
             "{suite}-security in the archive beside the main one whose name ends in -security"),
    ] = UNSET  # fmt: skip
    components: Annotated[Texts | Maybe, Meta(description='archive components; ["main"] when absent')] = UNSET
    mirror: Annotated[
        str | Maybe,
        Meta(description="the archive's URL or folder; what this machine's apt uses, or OSLET_MIRROR, when absent"),
    ] = UNSET
    keyring: Annotated[
        str | Maybe, Meta(description="a file of OpenPGP certificates; the machine's Debian keyring when absent")
    ] = UNSET


class FileTable(_Table):
    """What stands at a path that is no plain copy: exactly one of template, secret and text."""

    template: Annotated[
        str | Maybe,
        Meta(description="a file beside the declaration, rendered when an instance starts: {{ name }} is a param"),
    ] = UNSET
    secret: Annotated[
        str | Maybe, Meta(description="the name of a secret param, whose value is the file's content, mode 0400")
    ] = UNSET
    text: Annotated[str | Maybe, Meta(description="literal content; {name} is a param")] = UNSET
    mode: Annotated[Octal | Maybe, Meta(description='permission bits in octal; "0644" when absent')] = UNSET


class HealthTable(_Table):
    """When an instance counts as healthy: exactly one of http, tcp and exec."""

    http: Annotated[UrlPath | Maybe, Meta(description="GET of this path answers 2xx or 3xx")] = UNSET
    tcp: Annotated[str | int | Maybe, Meta(description='this port accepts a connection: "{port}" or a number')] = UNSET
    exec: Annotated[Texts | Maybe, Meta(description="this command, run inside the instance, exits 0")] = UNSET
    port: Annotated[str | int | Maybe, Meta(description="the port that http asks; the first of ports when absent")] = (
        UNSET
    )


class WarmTable(_Table):
    """What is done before an instance has its arguments, so that its start is short."""

    modules: Annotated[Texts | Maybe, Meta(description="Python modules that waiting instances have imported")] = UNSET
    snapshot: Annotated[
        str | Maybe, Meta(description="the volume that prepare fills; fresh volumes begin as its clones")
    ] = UNSET
    prepare: Annotated[
        Texts | Maybe, Meta(description="the command that fills it, run once; without params that are secret")
    ] = UNSET


class MachineTable(_Table):
    """What an instance has for hardware when it runs as a microVM."""

    kernel: Annotated[
        Literal["auto", "tiny", "net", "full", "distribution"] | Maybe,
        Meta(
            description="the kernel's class, or Debian's own kernel; \"auto\", the smallest that will do, when absent"
        ),
    ] = UNSET
    memory: Annotated[str | int | Maybe, Meta(description='the guest\'s memory; "256MiB" when absent')] = UNSET


class CheckTable(_Table):
    """One thing that the image must do the same trimmed and untrimmed: exactly one of run, exec and http."""

    name: Annotated[str, Meta(description="what is checked, in a few words")]
    run: Annotated[Texts | Maybe, Meta(description="a command in a fresh instance, instead of the image's own")] = UNSET
    exec: Annotated[Texts | Maybe, Meta(description="a command inside a healthy instance")] = UNSET
    http: Annotated[UrlPath | Maybe, Meta(description="GET of this path, from a healthy instance")] = UNSET


class RuleTable(_Table):
    """What to do in a maintainer script's stead; each key adds to the image."""

    users: Annotated[Texts | Maybe, Meta(description="name or name:group:home")] = UNSET
    directories: Annotated[Texts | Maybe, Meta(description="path or path:mode:user:group")] = UNSET
    links: Annotated[dict[str, str] | Maybe, Meta(description="path → the target of a symbolic link")] = UNSET
    files: Annotated[dict[str, str] | Maybe, Meta(description="path → the text of a file")] = UNSET


KINDS: dict[str, type[Struct]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        kinds.StrKind, kinds.IntKind, kinds.FloatKind, kinds.BoolKind, kinds.EnumKind, kinds.PortKind, kinds.SizeKind,
        kinds.DurationKind, kinds.UrlKind, kinds.PathKind, kinds.AddressKind, kinds.ListKind, kinds.SecretKind,
    )
}  # fmt: skip

CONSTRAINTS = {
    "min": "the least value",
    "max": "the greatest value",
    "min_length": "the least length",
    "max_length": "the greatest length",
    "pattern": "a regular expression that the whole value matches",
    "choices": "the values there are",
    "schemes": "the schemes accepted; any when absent",
    "of": "the type of each item: its word, or a table with constraints; str when absent",
    "separator": 'what stands between items in texts and on the command line; "," when absent',
}
VALUES: dict[str, tuple[Any, str]] = {
    "str": (str, "text"),
    "int": (int, "a whole number"),
    "float": (int | float, "a number"),
    "bool": (bool, "true or false"),
    "enum": (str, "one of choices"),
    "port": (int, "a port, 1 to 65535"),
    "size": (int | str, 'bytes, or text such as "64MiB" or "1.5 GB"'),
    "duration": (int | float | str, 'seconds, or text such as "1h30m" or "250ms"'),
    "url": (str, "scheme://host/path"),
    "path": (str, "an absolute path inside the instance"),
    "address": (str, "host, host:port, an IPv4 address, or [IPv6] with or without a port"),
    "list": (list[Any], "several values of one type"),
    "secret": (str, "text that is never shown nor stored"),
}
_LIMITS = {"min", "max"}


def _constraints(word: str) -> list[tuple[str, Any, Any]]:
    """The constraint keys of a kind, from the kind's own fields, so that the two can't drift."""
    fields = []
    for field in msgspec.structs.fields(KINDS[word]):
        shape: Any = {"of": Any, "choices": Texts, "schemes": Texts, "pattern": str, "separator": str}.get(
            field.name, int
        )
        if field.name in _LIMITS:
            shape = VALUES[word][0]
        elif field.name == "of":
            shape = str | dict[str, Any]
        meta = Meta(description=CONSTRAINTS[field.name])
        required = field.name == "choices"
        described = Annotated[shape, meta] if required else Annotated[shape | Maybe, meta]
        fields.append((field.name, described) if required else (field.name, described, UNSET))
    return fields  # type: ignore[return-value]


def _param(word: str) -> type[Struct]:
    shape, sentence = VALUES[word]
    absent = "the value when none is given; without it, required"
    if word == "secret":
        shape, absent = Literal[""], '"" where an instance may start without; else required'
    default: list[Any] = [("default", Annotated[shape | Maybe, Meta(description=absent)], UNSET)]
    common: list[Any] = [
        ("help", Annotated[str | Maybe, Meta(description="a sentence for --help")], UNSET),
        (
            "at",
            Annotated[
                Literal["start", "build"] | Maybe,
                Meta(description='when it is filled: "start" of an instance (when absent), or "build" of the image'),
            ],
            UNSET,
        ),
    ]
    return msgspec.defstruct(
        f"{word.capitalize()}Param",
        [*default, *common, *_constraints(word)],
        tag=word,
        tag_field="type",
        forbid_unknown_fields=True,
        kw_only=True,
        namespace={"__doc__": f"A param whose value is {sentence}."},
    )


PARAMS: dict[str, type[Struct]] = {word: _param(word) for word in KINDS}
if TYPE_CHECKING:
    AnyParam: TypeAlias = Any
else:
    AnyParam = Union[tuple(PARAMS.values())]  # noqa: UP007 - a union made from a table


class Declaration(_Table):
    """An oslet: what one application needs of an OS, and which parameters it leaves open."""

    name: Annotated[str, Meta(description="the image's name", pattern="^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]
    help: Annotated[str | Maybe, Meta(description="what it is, in a sentence")] = UNSET
    packages: Annotated[Texts | Maybe, Meta(description='Debian packages: "name" or "name=version"')] = UNSET
    wheels: Annotated[Texts | Maybe, Meta(description="Python distributions, as PEP 508 requirements")] = UNSET
    recommends: Annotated[bool | Maybe, Meta(description="also what the packages recommend; false when absent")] = UNSET
    command: Annotated[Texts | Maybe, Meta(description="the program and its arguments, run without a shell")] = UNSET
    env: Annotated[dict[str, str] | Maybe, Meta(description="environment variables")] = UNSET
    workdir: Annotated[str | Maybe, Meta(description='the command\'s working directory; "/" when absent')] = UNSET
    user: Annotated[str | Maybe, Meta(description='the user it runs as; "root" (of the instance) when absent')] = UNSET
    ports: Annotated[list[str | int] | Maybe, Meta(description='TCP ports it listens on: "{port}" or a number')] = UNSET
    volumes: Annotated[Texts | Maybe, Meta(description="folders whose content outlives the instance")] = UNSET
    network: Annotated[
        Literal["private", "host", "none"] | Maybe,
        Meta(description='its own network with ports published, the machine\'s, or none; "private" when absent'),
    ] = UNSET
    capabilities: Annotated[Texts | Maybe, Meta(description="Linux capabilities it keeps; none when absent")] = UNSET
    stop_signal: Annotated[str | Maybe, Meta(description='the signal that ends it; "SIGTERM" when absent')] = UNSET
    url: Annotated[
        str | Maybe, Meta(description="what a client connects with: may hold {host}, params and secrets")
    ] = UNSET
    warm: Annotated[WarmTable | Maybe, Meta(description="what is done before an instance has its arguments")] = UNSET
    machine: Annotated[MachineTable | Maybe, Meta(description="its hardware when it runs as a microVM")] = UNSET
    trim: Annotated[
        Literal["packages", "safe", "lean"] | Maybe,
        Meta(description='how much is left out: what no application reads ("packages"), also what nothing reaches of '
             'packages that are not named ("safe", when absent), or of any package or wheel ("lean")'),
    ] = UNSET  # fmt: skip
    features: Annotated[
        dict[str, Feature | dict[str, Feature]] | Maybe,
        Meta(description="what packages can do without: `oslet features TARGET` lists the switches and their price"),
    ] = UNSET
    keep: Annotated[Texts | Maybe, Meta(description="paths (with * and **) that stay whatever trim says")] = UNSET
    setuid: Annotated[Texts | Maybe, Meta(description="programs that keep their setuid or setgid bit")] = UNSET
    source: Annotated[SourceTable | Maybe, Meta(description="where the files come from")] = UNSET
    files: Annotated[
        dict[str, str | FileTable] | Maybe,
        Meta(description="path in the instance → a file or folder beside the declaration, or a table"),
    ] = UNSET
    params: Annotated[dict[str, AnyParam] | Maybe, Meta(description="the typed values it leaves open, by name")] = UNSET
    health: Annotated[HealthTable | Maybe, Meta(description="when an instance counts as healthy")] = UNSET
    checks: Annotated[
        list[CheckTable] | Maybe, Meta(description="what `oslet test` asks of the image trimmed and untrimmed")
    ] = UNSET
    scripts: Annotated[
        dict[str, str | RuleTable] | Maybe,
        Meta(description='package → what its maintainer scripts become: "ignore", "run" or a rule'),
    ] = UNSET
