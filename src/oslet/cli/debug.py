"""``oslet debug``: read as ``exec`` is, since what follows is a command's own."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from oslet.cli.targets import spelled
from oslet.cli.usage import usage
from oslet.run.words import Option, pair, read

OPTIONS = (
    Option("image", "", "TARGET", "the tools: a declaration's file, an image's name or digest"),
    Option("env", "e", "NAME=VALUE", "an environment variable", many=True),
    Option("help", "h", "", "this help"),
)
USAGE = "Usage: oslet debug [OPTIONS] INSTANCE [-- COMMAND …]"
ABOUT = """Look at a running instance with tools that it doesn't have itself: a shell, or COMMAND, of a second image,
which shares the instance's processes, network and host name. The instance's files are at /instance; nothing of it is
changed. Without --image, busybox's tools and strace, which are fetched once."""


def quick(words: Sequence[str]) -> int:
    """Run tools beside an instance; their exit code."""
    before = read(words, OPTIONS, stop_at_word=True)
    if "help" in before.options or not before.rest:
        return usage(USAGE, ABOUT, OPTIONS, asked="help" in before.options)
    instance, *after = before.rest
    found = read(after, OPTIONS)
    options = {n: before.options.get(n, []) + found.options.get(n, []) for n in (*before.options, *found.options)}
    if "help" in options:
        return usage(USAGE, ABOUT, OPTIONS, asked=True)
    from oslet.cli.render import progress, talk
    from oslet.run import Wish
    from oslet.run.records import find
    from oslet.run.visiting import visit
    from oslet.workspace import Workspace
    from oslet.workspace.debugging import tools

    with progress() as listen:
        workspace = Workspace(progress=listen, notice=talk)
        _, record = find(workspace.places.state, instance)
        built = workspace.image(spelled(options["image"][-1])) if "image" in options else tools(workspace)
        sealed = workspace.sealed(built)
    wish = Wish(
        env=tuple(pair(e, "=", "--env") for e in options.get("env", [])),
        command=tuple(found.rest),
        tty=sys.stdin.isatty() and sys.stdout.isatty(),
        network="none",
    )
    return visit(workspace.places, record.id, sealed, wish)
