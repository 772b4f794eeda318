"""``oslet exec``: click and rich stay out of its way."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from oslet.cli.usage import usage
from oslet.run.words import Option, pair, read

OPTIONS = (
    Option("tty", "t", "", "give it a terminal"),
    Option("interactive", "i", "", "keep standard input (it always is)"),
    Option("env", "e", "NAME=VALUE", "an environment variable", many=True),
    Option("user", "u", "NAME|UID[:GID]", "as another user of the image"),
    Option("help", "h", "", "this help"),
)
USAGE = "Usage: oslet exec [OPTIONS] INSTANCE COMMAND …"


def quick(words: Sequence[str]) -> int:
    """Run a command inside an instance; its exit code."""
    found = read(words, OPTIONS, stop_at_word=True)
    if "help" in found.options or len(found.rest) < 2:
        return usage(USAGE, "Run a command inside an instance.", OPTIONS, asked="help" in found.options)
    from oslet.run import execute
    from oslet.workspace import Workspace

    workspace = Workspace()
    instance, *command = found.rest
    return execute(
        workspace.places.state,
        instance,
        tuple(command),
        tty="tty" in found.options and sys.stdin.isatty(),
        env=tuple(pair(e, "=", "--env") for e in found.options.get("env", [])),
        user=workspace.user(instance, found.options["user"][0]) if "user" in found.options else None,
    )
