"""``oslet park``: read as ``run`` is, since what it keeps ready are its starts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oslet.cli.targets import spelled
from oslet.cli.usage import usage
from oslet.errors import DeclarationError
from oslet.run.wishing import OPTIONS as STARTS
from oslet.run.wishing import bound, said, wished
from oslet.run.words import Option, read

if TYPE_CHECKING:
    from oslet.workspace import Workspace

_MOST = 10_000
_ALIKE = (
    *("volume", "fresh", "memory", "cpus", "pids", "network", "seccomp", "read-only"),
    *("microvm", "vmm", "kernel", "help"),
)
"""What slots have to have in common with the starts that take them; all else is said at the start."""
OPTIONS = (*(o for o in STARTS if o.name in _ALIKE), Option("json", "", "", "print what waits as JSON"))
USAGE = "Usage: oslet park [OPTIONS] [TARGET N [--PARAM VALUE …] [OPTIONS]]"
ABOUT = """Keep N sandboxes of an image ready, so that `oslet run` with the same options takes one instead of making it;
0 keeps none. It holds until it is said anew, or the supervisor ends. Without TARGET: what waits now."""


def quick(words: Sequence[str]) -> int:
    """Have slots wait, or say which do."""
    before = read(words, OPTIONS, stop_at_word=True)
    if "help" in before.options:
        return usage(USAGE, ABOUT, OPTIONS, asked=True)
    from oslet.cli.render import progress, talk
    from oslet.workspace import Workspace

    if not before.rest:
        return _show(Workspace(), as_json="json" in before.options)
    target, *after = spelled(before.rest[0]), *before.rest[1:]
    with progress() as listen:
        workspace = Workspace(progress=listen, notice=talk)
        built = workspace.image(target)
        options, given, rest = said(before.options, after, built.image.params, OPTIONS)
        if "help" in options:
            return usage(USAGE, ABOUT, OPTIONS, built.image.params, asked=True)
        if len(rest) != 1 or not rest[0].isdecimal() or int(rest[0]) > _MOST:
            raise DeclarationError("say how many are to wait", where="N", hint=f"oslet park {target} 2; 0 to {_MOST}")
        arguments, wish = bound(built.image.params, given, os.environ), workspace.fitted(built, wished(options, ()))
        from oslet.run import park

        places = workspace.places
        park(workspace.sealed(built), arguments, wish, workspace.instance_tools, places, int(rest[0]))
    return _show(workspace, as_json="json" in options) if "json" in options else 0


def _show(workspace: Workspace, *, as_json: bool) -> int:
    from oslet.cli import render
    from oslet.run.starting import waiting

    slots = waiting(workspace.places.state)
    names = {digest: name for name, digest in workspace.store.image_names().items()}
    if as_json:
        render.as_json([{"image": digest, "name": names.get(digest, ""), "slots": n} for digest, n in slots.items()])
    else:
        rows = ((names.get(digest, "-"), digest[:12], str(count)) for digest, count in slots.items())
        render.table(("name", "image", ">slots"), rows)
    return 0
