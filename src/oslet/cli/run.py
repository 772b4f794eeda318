"""``oslet run``: click and rich stay out of its way."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from oslet.cli.targets import spelled
from oslet.cli.words import Option, pair, read, secret_values, usage
from oslet.errors import DeclarationError, RunError

if TYPE_CHECKING:
    from oslet.model.image import Built
    from oslet.model.instance import Arguments
    from oslet.model.param import ItemKind, Param
    from oslet.run import Ending, Sealed, Wish
    from oslet.run.filters import Mode
    from oslet.workspace import Workspace

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
    Option("memory", "m", "SIZE", "at most so much memory"),
    Option("cpus", "", "N", "at most so much of the processors"),
    Option("pids", "", "N", "at most so many processes"),
    Option("network", "", "private|host|none", "which network (default: the declaration's)"),
    Option("tty", "t", "", "give it a terminal"),
    Option("interactive", "i", "", "keep standard input (in the foreground it always is)"),
    Option("audit", "", "", "run it with nothing left out, and say which of the dropped paths were asked for"),
    Option("seccomp", "", "MODE", "default, log (record calls that the image has no use for) or image (refuse those)"),
    Option("read-only", "", "", "let it write to its volumes, /tmp and /run only"),
    Option("rm", "", "", "leave nothing when it ends (in the foreground it never does)"),
    Option("json", "", "", "with -d: print the instance as JSON"),
    Option("help", "h", "", "this help; after TARGET, the image's params too"),
)
USAGE = "Usage: oslet run [OPTIONS] TARGET [--PARAM VALUE …] [OPTIONS] [-- COMMAND …]"


def quick(words: Sequence[str]) -> int:
    """Read the words, build what must be built, start; the application's own exit code in the foreground."""
    before = read(words, OPTIONS, stop_at_word=True)
    if "help" in before.options or not before.rest:
        return usage(USAGE, "Start an image with arguments.", OPTIONS, asked="help" in before.options)
    target, *after = spelled(before.rest[0]), *before.rest[1:]

    from oslet.cli.render import progress, talk
    from oslet.workspace import Workspace

    with progress() as listen:
        workspace = Workspace(progress=listen, notice=talk)
        built = workspace.image(target)
        found = read(after, OPTIONS, built.image.params)
        if "help" in found.options:
            return usage(USAGE, "", OPTIONS, built.image.params, asked=True)
        options = {n: before.options.get(n, []) + found.options.get(n, []) for n in (*before.options, *found.options)}
        arguments = bound(built.image.params, found.given)
        wish = workspace.fitted(built, wished(options, found.rest))
        bare = _untrimmed(workspace, built) if wish.watched else None
        sealed = bare or workspace.sealed(built)
    if "detach" in options:
        return _detached(workspace, built, arguments, wish, options, bare)
    return _attached(workspace, built, sealed, arguments, wish)


def _untrimmed(workspace: Workspace, built: Built) -> Sealed:
    from oslet.workspace.watching import untrimmed

    return untrimmed(workspace, built)


def _attached(workspace: Workspace, built: Built, sealed: Sealed, arguments: Arguments, wish: Wish) -> int:
    from oslet.cli.render import talk
    from oslet.model.tree import Tree
    from oslet.run import run

    def tree() -> Tree:
        return workspace.store.load(sealed.tree, Tree)

    def ending(end: Ending) -> None:
        if wish.heard:
            _tell_audit(workspace, built, end)
        elif end.code:
            from oslet.trim.missing import missing

            for lost in missing(end.said, tree()) if end.said else ():
                talk(f"oslet: {lost}")

    try:
        tools = workspace.instance_tools
        workspace.foretell(sealed, arguments, wish, talk)
        return run(sealed, arguments, wish, tools, workspace.places, notice=talk, ending=ending)
    except RunError as error:
        from oslet.workspace.watching import explained

        raise explained(error, tree()) from None


def _tell_audit(workspace: Workspace, built: Built, end: Ending) -> None:
    from oslet.cli.audit import call_lines, lines
    from oslet.cli.render import talk
    from oslet.trim.used import findings

    if end.watched is None or not end.watched.ended:
        talk("oslet: the audit ended before the instance did, so what follows is not all")
    if end.watched and end.watched.image:
        for line in lines(findings(end.watched, workspace.tree(built.image))):
            talk(line)
    if end.watched and end.watched.beyond is not None:
        for line in call_lines(end.watched.beyond):
            talk(line)


def _detached(
    workspace: Workspace,
    built: Built,
    arguments: Arguments,
    wish: Wish,
    options: dict[str, list[str]],
    bare: Sealed | None,
) -> int:
    from oslet.cli.render import talk

    running = workspace.start(built, arguments, wish, notice=talk, sealed=bare)
    if "wait" in options:
        running.ready()
    if "json" in options:
        from oslet.cli.render import as_json

        as_json(running.observed)
    else:
        print(running.id)
    return 0


def bound(params: Sequence[Param], given: Mapping[str, str]) -> Arguments:
    """The values of an image's params, as given on a command line."""
    from oslet.bind import bind

    params = [p for p in params if p.at == "start"]
    return bind(params, secret_values(given, params, os.environ), where="--")


def wished(options: dict[str, list[str]], command: Sequence[str]) -> Wish:
    """What own options say of a start."""
    from oslet.codec.kinds import KindError, parse
    from oslet.model.param import FloatKind, IntKind, SizeKind
    from oslet.run import Limits, Wish
    from oslet.run.volumes import written

    def number(name: str, kind: ItemKind) -> Any:
        try:
            return parse(kind, options[name][-1]) if name in options else None
        except KindError as error:
            raise DeclarationError(error.what, where=f"--{name}", hint=error.hint) from None

    networks: dict[str, Literal["private", "host", "none"]] = {"private": "private", "host": "host", "none": "none"}
    network = options.get("network", [""])[-1]
    if network and network not in networks:
        raise DeclarationError(f"there is no network {network!r}", where="--network", hint="private, host or none")
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
        network=networks.get(network),
        env=tuple(pair(e, "=", "--env") for e in options.get("env", [])),
        command=tuple(command),
        tty="tty" in options and sys.stdin.isatty(),
        remove="rm" in options,
        fresh="fresh" in options,
        watched="audit" in options,
        seccomp=_mode(options.get("seccomp", ["default"])[-1]),
        read_only="read-only" in options,
    )


def _mode(word: str) -> Mode:
    from oslet.run.filters import MODES

    for mode in MODES:
        if word == mode:
            return mode
    raise DeclarationError(f"there is no way {word!r} of filtering", where="--seccomp", hint=", ".join(MODES))
