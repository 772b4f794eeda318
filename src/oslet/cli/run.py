"""``oslet run``: click and rich stay out of its way."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oslet.cli.targets import spelled
from oslet.cli.usage import usage
from oslet.errors import RunError
from oslet.run.wishing import OPTIONS, bound, said, wished
from oslet.run.words import read

if TYPE_CHECKING:
    from oslet.model.image import Built
    from oslet.model.instance import Arguments
    from oslet.run import Ending, Sealed, Wish
    from oslet.workspace import Workspace
    from oslet.workspace.seeding import Cloud

_CLOUD = {"user-data", "meta-data"}
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
        options, given, command = said(before.options, after, built.image.params)
        if "help" in options:
            return usage(USAGE, "", OPTIONS, built.image.params, asked=True)
        found = _cloud(options) if _CLOUD & options.keys() else None
        arguments = bound(built.image.params, given, os.environ, found and found.given)
        wish = workspace.fitted(built, wished(options, command))
        wish = wish._replace(name=wish.name or (found.name if found else ""))
        wish = wish._replace(tty=wish.tty and sys.stdin.isatty())
        bare = _untrimmed(workspace, built) if wish.watched else None
        sealed = bare or workspace.sealed(built)
    if "detach" in options:
        return _detached(workspace, built, arguments, wish, options, bare)
    return _attached(workspace, built, sealed, arguments, wish)


def _cloud(options: dict[str, list[str]]) -> Cloud | None:
    from oslet.workspace.seeding import cloud_of

    return cloud_of(options)


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
