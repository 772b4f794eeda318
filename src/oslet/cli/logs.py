"""``oslet logs``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from oslet.cli import options

if TYPE_CHECKING:
    from oslet.group import Seen
    from oslet.run import Line
    from oslet.workspace import Workspace


@click.command("logs")
@options.instance
@click.option("-f", "--follow", is_flag=True, help="Go on until it ends.")
@click.option("-n", "--tail", type=click.IntRange(0), help="Only the last N lines of each stream.")
@click.option("-t", "--timestamps", is_flag=True, help="Each line behind the time at which it came.")
@options.since
def command(instance: str, follow: bool, tail: int | None, timestamps: bool, since: float | None) -> None:
    """What an instance wrote: its standard output on ours, its standard error on ours.

    Of a stack, what all its members wrote, each line behind its member's name.
    """
    from oslet.run import instances, logs

    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    with options.workspace() as workspace:
        there = instances(workspace.places.state)
        if not any(instance in (i.name, i.id) for i in there) and any(i.group == instance for i in there):
            follow_group(workspace, instance, follow=follow, tail=tail, timestamps=timestamps, since=since or 0.0)
            return
        for line in logs(workspace.places.state, instance, follow=follow, tail=tail, since=since or 0.0):
            streams[line.stream].write(_stamp(line, timestamps) + line.text)
            streams[line.stream].flush()
        options.tell_missing(workspace, instance)


def _stamp(line: Line, wanted: bool) -> bytes:
    from oslet.cli.render import moment

    return f"{moment(line.time)} ".encode() if wanted else b""


def follow_group(
    workspace: Workspace,
    name: str,
    *,
    follow: bool,
    tail: int | None,
    timestamps: bool = False,
    since: float = 0.0,
) -> None:
    """What the members of a stack wrote, in the order in which it came; with ``follow``, each member's apart from the
    others', until it has ended. ``tail`` is for each member."""
    from heapq import merge
    from threading import Lock, Thread

    from oslet.run import logs
    from oslet.workspace.prepared import members

    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    seen = members(workspace, name)
    width = max((len(each.membership.member) for each in seen), default=0)
    turn = Lock()

    def lines(each: Seen) -> Iterator[tuple[float, str, Line]]:
        for line in logs(workspace.places.state, each.id, follow=follow, tail=tail, since=since):
            yield line.time, each.membership.member, line

    def tell(found: Iterable[tuple[float, str, Line]]) -> None:
        for _, member, line in found:
            end = b"" if line.text.endswith(b"\n") else b"\n"
            with turn:
                streams[line.stream].write(
                    _stamp(line, timestamps) + f"{member:<{width}} | ".encode() + line.text + end
                )
                streams[line.stream].flush()

    if not follow:
        tell(merge(*map(lines, seen), key=lambda found: found[0]))
        return
    threads = [Thread(target=tell, args=(lines(each),), daemon=True) for each in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
