"""Wishing: what the words of ``oslet run`` say of a start, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from oslet.errors import DeclarationError
from oslet.run.words import Option, pair, read, secret_values

if TYPE_CHECKING:
    from oslet.codec.cloud import Given
    from oslet.model.instance import Arguments
    from oslet.model.oslet import Kernel
    from oslet.model.param import ItemKind, Param
    from oslet.run.asking import Vmm, Wish
    from oslet.run.filters import Mode

NETWORK = Option("network", "", "private|none|host|NAME", "which network (default: the declaration's)")
ALLOW = Option("allow", "", "HOST[:PORT]|NET/BITS|none", "what it may reach, and nothing else", many=True)
OPTIONS = (
    Option("detach", "d", "", "run in the background; print the instance's id"),
    Option("wait", "w", "", "with -d: return when the health check passes"),
    Option("name", "n", "NAME", "the instance's name (default: the image's)"),
    Option("publish", "p", "[[IP:]PORT:]PORT", "publish a port elsewhere than on its own number", many=True),
    Option(
        "volume", "v", "NAME|DIR[@clone]:PATH", "what stands behind a volume, or a clone that isn't kept", many=True
    ),
    Option("fresh", "", "", "keep no volume: each is a clone, of its snapshot or of the image's content"),
    Option("env", "e", "NAME=VALUE", "an environment variable", many=True),
    Option("user-data", "", "FILE|DIR|ISO", "values for the image's params, as a cloud gives them; options win"),
    Option("meta-data", "", "FILE", "a cloud's names for it: the instance's, unless --name says another"),
    Option("memory", "m", "SIZE", "at most so much memory"),
    Option("cpus", "", "N", "at most so much of the processors"),
    Option("pids", "", "N", "at most so many processes"),
    NETWORK,
    ALLOW,
    Option("restart", "", "no|on-failure|always", "with -d: what its end is followed by (default: no)"),
    Option("tty", "t", "", "give it a terminal"),
    Option("interactive", "i", "", "keep standard input (in the foreground it always is)"),
    Option("audit", "", "", "run it with nothing left out, and say which of the dropped paths were asked for"),
    Option("seccomp", "", "MODE", "default, log (record calls that the image has no use for) or image (refuse those)"),
    Option("read-only", "", "", "let it write to its volumes, /tmp and /run only"),
    Option("microvm", "", "", "run it in a virtual machine with a kernel of its own, instead of a container"),
    Option("vmm", "", "NAME", "--microvm in this one: qemu or uml (default: qemu with KVM, else user-mode Linux)"),
    Option("kernel", "", "KERNEL", "with --microvm: tiny, net, full or distribution (default: the declaration's)"),
    Option("rm", "", "", "leave nothing when it ends (in the foreground it never does)"),
    Option("json", "", "", "with -d: print the instance as JSON"),
    Option("help", "h", "", "this help; after TARGET, the image's params too"),
)
"""The options of ``run``: other verbs that start something have some of them."""


class Said(NamedTuple):
    """The words after TARGET with those before it: own options' values, given params, and the command."""

    options: dict[str, list[str]]
    given: dict[str, str]
    command: tuple[str, ...]


def said(
    before: Mapping[str, list[str]], after: Sequence[str], params: Sequence[Param], options: Sequence[Option] = OPTIONS
) -> Said:
    """Read what follows TARGET, once it is known which ``params`` there are. DeclarationError as ``read``."""
    found = read(after, options, params)
    both = {n: before.get(n, []) + found.options.get(n, []) for n in (*before, *found.options)}
    return Said(both, found.given, tuple(found.rest))


def bound(
    params: Sequence[Param], given: Mapping[str, str], environment: Mapping[str, str], cloud: Given | None = None
) -> Arguments:
    """The values of an image's params, as given on a command line; or else by a cloud."""
    from oslet.bind import bind

    params = [p for p in params if p.at == "start"]
    words = secret_values(given, params, environment)
    if cloud is None:
        return bind(params, words, where="--")
    places = {f"--{name}": place for name, place in cloud.places.items() if name not in words}
    try:
        return bind(params, {**cloud.values, **words}, where="--")
    except DeclarationError as error:
        faults = [fault._replace(where=places.get(fault.where, fault.where)) for fault in error.faults]
        raise DeclarationError.of(faults) from None


def partly(params: Sequence[Param], given: Mapping[str, str], environment: Mapping[str, str]) -> Arguments:
    """The values of those params that are given: an instance has the others already."""
    return bound([p for p in params if p.name in given], given, environment)


def wished(options: Mapping[str, list[str]], command: Sequence[str]) -> Wish:
    """What own options say of a start. DeclarationError for a value that can't be."""
    from oslet.codec.kinds import KindError, parse
    from oslet.model.param import FloatKind, IntKind, SizeKind
    from oslet.run.asking import Wish
    from oslet.run.limits import Limits
    from oslet.run.volumes import written

    def number(name: str, kind: ItemKind) -> Any:
        try:
            return parse(kind, options[name][-1]) if name in options else None
        except KindError as error:
            raise DeclarationError(error.what, where=f"--{name}", hint=error.hint) from None

    restarts = _restarts(options)
    if restarts != "no" and "detach" not in options:
        raise DeclarationError("only what runs in the background is restarted", where="--restart", hint="add -d")
    return Wish(
        name=options.get("name", [""])[-1],
        limits=Limits(
            memory=number("memory", SizeKind(min=1)),
            cpus=number("cpus", FloatKind(min=0.01)),
            pids=number("pids", IntKind(min=1)),
        ),
        volumes={
            path: written(what)
            for path, what in (pair(v, ":", "--volume", reverse=True) for v in options.get("volume", []))
        },
        publish=tuple(options.get("publish", ())),
        network=options["network"][-1] if "network" in options else None,
        allow=_allowed(options),
        restart=restarts,
        env=tuple(pair(e, "=", "--env") for e in options.get("env", [])),
        command=tuple(command),
        tty="tty" in options,
        remove="rm" in options,
        fresh="fresh" in options,
        watched="audit" in options,
        seccomp=_mode(options.get("seccomp", ["default"])[-1]),
        read_only="read-only" in options,
        microvm=_microvm(options),
        kernel=_kernel(options),
    )


def _microvm(options: Mapping[str, list[str]]) -> Literal["", "auto"] | Vmm:
    from oslet.run.asking import VMMS

    named = options.get("vmm", [""])[-1]
    for vmm in VMMS:
        if named == vmm:
            return vmm
    if named:
        raise DeclarationError(f"there is no VMM {named!r}", where="--vmm", hint=", ".join(VMMS))
    return "auto" if "microvm" in options else ""


def _kernel(options: Mapping[str, list[str]]) -> Kernel | None:
    from oslet.model.oslet import KERNELS

    if "kernel" not in options:
        return None
    for kernel in KERNELS:
        if options["kernel"][-1] == kernel:
            return kernel
    raise DeclarationError(f"there is no kernel {options['kernel'][-1]!r}", where="--kernel", hint=", ".join(KERNELS))


def _mode(word: str) -> Mode:
    from oslet.run.filters import MODES

    for mode in MODES:
        if word == mode:
            return mode
    raise DeclarationError(f"there is no way {word!r} of filtering", where="--seccomp", hint=", ".join(MODES))


def _restarts(options: Mapping[str, list[str]]) -> Literal["no", "on-failure", "always"]:
    ways: dict[str, Literal["no", "on-failure", "always"]] = {
        "no": "no",
        "on-failure": "on-failure",
        "always": "always",
    }
    word = options.get("restart", ["no"])[-1]
    if word not in ways:
        raise DeclarationError(f"{word!r} is no way to restart", where="--restart", hint="no, on-failure or always")
    return ways[word]


def _allowed(options: Mapping[str, list[str]]) -> tuple[str, ...] | None:
    """None where nothing is said, and so all may be reached; ``none`` alone allows nothing."""
    if "allow" not in options:
        return None
    entries = tuple(options["allow"])
    if "none" in entries and len(entries) > 1:
        raise DeclarationError("'none' allows nothing beside it", where="--allow", hint="leave it or the others out")
    return () if entries == ("none",) else entries
