"""``oslet trace``: read as ``run`` is, since the image's params are its options."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oslet.cli.targets import spelled
from oslet.cli.usage import usage
from oslet.errors import DeclarationError, RunError
from oslet.run.wishing import NETWORK, bound, said, wished
from oslet.run.words import Option, read

if TYPE_CHECKING:
    from oslet.model.image import Image
    from oslet.model.watch import Trace
    from oslet.trim.used import Unused
    from oslet.workspace import Workspace
    from oslet.workspace.running import Running

OPTIONS = (
    Option("publish", "p", "[[IP:]PORT:]PORT", "publish a port elsewhere than on its own number", many=True),
    Option("volume", "v", "NAME|DIR:PATH", "what stands behind a volume", many=True),
    Option("env", "e", "NAME=VALUE", "an environment variable", many=True),
    NETWORK,
    Option("add", "", "", "keep what the trace has already: several workloads, one trace"),
    Option("dry-run", "", "", "write no trace"),
    Option("top", "", "N", "how many unused files to list (default: 20)"),
    Option("json", "", "", "print what was used and what wasn't as JSON"),
    Option("help", "h", "", "this help; after TARGET, the image's params too"),
)
USAGE = "Usage: oslet trace [OPTIONS] TARGET [--PARAM VALUE …] [OPTIONS] [-- WORKLOAD …]"
ABOUT = """Start an image with nothing left out, run WORKLOAD on this machine once it is healthy, and record which paths
were used. Without a workload, until the instance ends or is interrupted. NAME.trace beside the declaration is evidence
for later builds: one that leaves out a used path fails. The exit code is the workload's."""


def quick(words: Sequence[str]) -> int:
    """Watch an instance do its work; the workload's exit code."""
    before = read(words, OPTIONS, stop_at_word=True)
    if "help" in before.options or not before.rest:
        return usage(USAGE, ABOUT, OPTIONS, asked="help" in before.options)
    target, *after = spelled(before.rest[0]), *before.rest[1:]

    from oslet.cli import render
    from oslet.workspace import Declared, Workspace
    from oslet.workspace.declared import is_declaration
    from oslet.workspace.watching import keep_trace, traced, untrimmed

    with render.progress() as listen:
        workspace = Workspace(progress=listen, notice=render.talk)
        built = workspace.image(target, witnessed=False)
        options, given, workload = said(before.options, after, built.image.params, OPTIONS)
        if "help" in options:
            return usage(USAGE, ABOUT, OPTIONS, built.image.params, asked=True)
        wish = wished(options, ())._replace(watched=True)
        bare = untrimmed(workspace, built)
    running = workspace.start(
        built, bound(built.image.params, given, os.environ), wish, notice=render.talk, sealed=bare
    )
    try:
        running.ready()
        code = _work(running, workload)
        running.stop()
        seen = traced(workspace, running.id, built)
    finally:
        running.stop(grace=0)
        running.remove()
    if is_declaration(target) and "dry-run" not in options:
        seen = keep_trace(target, seen, add="add" in options)
        render.talk(f"{Declared.read(target).trace_file.name}: {len(seen.used)} paths used")
    _report(workspace, built.image, seen, options)
    return code


def _work(running: Running, workload: Sequence[str]) -> int:
    """Run the workload on this machine, told where the instance answers; or be patient. An exit code."""
    from oslet.cli.render import talk

    if not workload:
        talk(f"{running.name} is being traced; interrupt to end it")
        try:
            return running.wait()
        except KeyboardInterrupt:
            return 0
    ports = " ".join(map(str, running.ports))
    try:
        done = subprocess.run(workload, env={**os.environ, "OSLET_PORTS": ports, "OSLET_INSTANCE": running.id})
    except OSError as error:
        raise RunError(f"the workload can't be run: {error.strerror}", where=workload[0]) from None
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


def _report(workspace: Workspace, image: Image, seen: Trace, options: dict[str, list[str]]) -> None:
    """What the image leaves out though it was used, and what it keeps though it wasn't."""
    from oslet.cli import render
    from oslet.trim.used import keep_line, lost, unused

    tree = workspace.tree(image)
    idle, missed = unused(tree, seen), lost(tree, seen)
    if "json" in options:
        render.as_json({"trace": seen, "lost": [e.path for e in missed], "unused": [each._asdict() for each in idle]})
        return
    top = _number(options.get("top", ["20"])[-1])
    for entry in missed:
        render.talk(f"used, but left out of the image: {entry.path} ({entry.reason})")
    if missed:
        render.talk(f"to keep them: {keep_line(e.path for e in missed)}")
    total = sum(each.size for each in idle)
    render.talk(f"kept and not used: {len(idle)} files, {render.size(total)} of {render.size(tree.size)}")
    render.table(("path", ">size", "from", "kept because", "could be dropped by"), map(_row, idle[:top]))


def _row(each: Unused) -> tuple[str, ...]:
    from oslet.cli import render

    because = f"{each.reason} ({each.by})" if each.by else each.reason
    return each.path, render.size(each.size), each.origin, because, each.rule or "-"


def _number(word: str) -> int:
    if not word.isdecimal():
        raise DeclarationError(f"{word!r} is no number", where="--top")
    return int(word)
