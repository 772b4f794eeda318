"""``oslet test``: read as ``run`` is, since the image's params are its options."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oslet.cli.targets import spelled
from oslet.cli.usage import usage
from oslet.errors import BuildError, DeclarationError
from oslet.run.wishing import NETWORK, bound, said, wished
from oslet.run.words import Option, pair, read

if TYPE_CHECKING:
    from oslet.model.check import Answer, Outcome

OPTIONS = (
    Option("env", "e", "NAME=VALUE", "an environment variable", many=True),
    NETWORK,
    Option("set", "s", "NAME=VALUE", "a build-time param's value", many=True),
    Option("json", "", "", "print the outcomes as JSON"),
    Option("help", "h", "", "this help; after FILE, the image's params too"),
)
USAGE = "Usage: oslet test FILE [--PARAM VALUE …] [OPTIONS]"
ABOUT = "Ask the checks of a declaration of its image, and of the same with nothing left out; exit 5 if any differs."


def quick(words: Sequence[str]) -> int:
    """Build, ask both sides, print a row a check. BuildError if an answer differs."""
    before = read(words, OPTIONS, stop_at_word=True)
    if "help" in before.options or not before.rest:
        return usage(USAGE, ABOUT, OPTIONS, asked="help" in before.options)
    file, *after = spelled(before.rest[0]), *before.rest[1:]

    from oslet.cli import render
    from oslet.workspace import Declared, Workspace
    from oslet.workspace.checking import outcomes
    from oslet.workspace.declared import unfilled

    with render.progress() as listen:
        workspace = Workspace(progress=listen, notice=render.talk)
        params = [param for param in unfilled(file).params if param.at == "start"]
        options, values, command = said(before.options, after, params, OPTIONS)
        if "help" in options:
            return usage(USAGE, ABOUT, OPTIONS, params, asked=True)
        given = dict(pair(word, "=", "--set") for word in options.get("set", []))
        declared = Declared.read(file, given)
        if not declared.oslet.checks:
            raise DeclarationError(
                "it has no checks", where=file, hint='[[checks]] name = "front page", and http = "/" (or run, exec)'
            )
        arguments, wish = bound(declared.oslet.params, values, os.environ), wished(options, command)
        results = outcomes(workspace, workspace.build(declared), declared.oslet.checks, arguments, wish)
    _show(results, as_json="json" in options)
    different = [r for r in results if r.verdict == "different"]
    if different:
        shown = "; ".join(f"{r.name}: {_difference(r.trimmed, r.untrimmed)}" for r in different[:4])
        raise BuildError(
            f"{len(different)} of {len(results)} checks differ from the untrimmed image: {shown}",
            where=file,
            hint=f"oslet run --audit {file} shows which of the dropped paths it asks for",
        )
    return 0


def _show(results: Sequence[Outcome], *, as_json: bool) -> None:
    from oslet.cli import render

    if as_json:
        render.as_json(results)
    else:
        rows = [(r.name, r.way, r.verdict, _code(r.trimmed), _code(r.untrimmed)) for r in results]
        render.table(("check", "way", "verdict", ">trimmed", ">untrimmed"), rows)
    unsteady = [r.name for r in results if r.verdict == "unsteady"]
    if unsteady:
        print(
            f"unsteady: {', '.join(unsteady)}: the untrimmed image alone answers in two ways, so this tells nothing of "
            "trimming; make the check's answer the same each time",
            file=sys.stderr,
        )


def _code(answer: Answer) -> str:
    return str(answer.code) if answer.code >= 0 else "no answer"


def _difference(trimmed: Answer, untrimmed: Answer) -> str:
    if trimmed.code != untrimmed.code:
        said = next((t for n, t in trimmed.said.items() if n in ("error", "stderr") and t), "")
        last = f" ({said.strip().splitlines()[-1][:200]})" if said.strip() else ""
        return f"{_code(trimmed)} instead of {_code(untrimmed)}{last}"
    names = [n for n in untrimmed.said if trimmed.said.get(n) != untrimmed.said[n]]
    return f"another {' and '.join(names)}"
