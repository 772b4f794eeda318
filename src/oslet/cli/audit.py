"""``oslet audit``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from oslet.cli import options

if TYPE_CHECKING:
    from oslet.model.watch import Beyond
    from oslet.trim.used import Finding

_WORDS = {"linked": "gone through", "looked": "looked at", "filled": "filled (something new was made in it)"}
"""Ways of use as a sentence has them."""


@click.command("audit")
@options.instance
@options.as_json
def command(instance: str, as_json: bool) -> None:
    """The dropped paths that an instance asked for until now, of one started with `oslet run -d --audit`; the system
    calls beyond its image's own, of one with `--seccomp log`."""
    from oslet.cli import render
    from oslet.run import watching
    from oslet.workspace.watching import audited

    with options.workspace() as workspace:
        seen = watching.of(workspace.places.state, instance)
        found = audited(workspace, instance)
    if as_json:
        render.as_json(found if seen.image else seen.beyond)
        return
    for line in (*(lines(found) if seen.image else ()), *(call_lines(seen.beyond) if seen.beyond is not None else ())):
        render.data(line)


def call_lines(found: Sequence[Beyond]) -> list[str]:
    """The system calls that were made though no file of the image is seen to make them, for people."""
    if not found:
        return ["no system call was made that the image has no use for"]
    said = [f"{len(found)} system call{'s were' if len(found) > 1 else ' was'} made that --seccomp image refuses:"]
    return [*said, *(f"  {each.name}: by {each.process} ({each.pid}), {each.count} times" for each in found)]


def lines(found: Sequence[Finding]) -> list[str]:
    """What an audit found, for people: each path with its reason and its user, and the line that keeps them all."""
    from oslet.trim.used import keep_line

    if not found:
        return ["no dropped path was asked for"]
    count = f"{len(found)} dropped paths were" if len(found) > 1 else "1 dropped path was"
    said = [f"{count} asked for:"]
    for each in found:
        times = f", {each.count} times" if each.count > 1 else ""
        how = " and ".join(_WORDS.get(word, word) for word in each.how)
        said.append(f"  {each.path}: {how} by {each.process} ({each.pid}){times}")
        said.append(f"    left out: {each.reason}")
    return [*said, f"to keep {'them' if len(found) > 1 else 'it'}: {keep_line(each.keep for each in found)}"]
