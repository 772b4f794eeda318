"""``oslet seccomp``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from oslet.cli import options

if TYPE_CHECKING:
    from oslet.trim.calls import Profile, Reached


@click.command("seccomp")
@options.target
@click.option("--why", "asked", metavar="CALL", help="Who makes this system call.")
@click.option("--oci", is_flag=True, help="The filter as an OCI runtime, docker and podman take it.")
@options.as_json
def command(target: str, asked: str | None, oci: bool, as_json: bool) -> None:
    """Which system calls an image's files can make, and who makes them: what `oslet run --seccomp image` allows.

    Found by reading the image's programs and libraries, not by running them.
    """
    from oslet.cli import render
    from oslet.run.filters import every, filter_of
    from oslet.workspace.calling import allowed

    with options.workspace() as workspace:
        image = workspace.image(target).image
        found = workspace.calls(image)
        names = allowed(workspace, image)
    if oci:
        render.as_json(filter_of("image", names))
    elif as_json:
        render.as_json({"allowed": names, "of": len(every()), "reached": found.reached, "dark": found.dark})
    else:
        for line in _why(found, asked, every()) if asked else _lines(found, names, every()):
            render.data(line)


def _lines(found: Profile, names: tuple[str, ...], every: tuple[str, ...]) -> list[str]:
    first = f"{len(names)} system calls of the {len(every)} that any instance may make"
    dark = [f"{path} makes calls that can't be told ({where})" for path, where in found.dark]
    return [first, *dark, *(_row(each) for each in found.reached if each.name in names)]


def _row(reached: Reached) -> str:
    return f"{reached.name:24} {reached.by[0]}{f' ({reached.count} do)' if reached.count > 1 else ''}"


def _why(found: Profile, asked: str, every: tuple[str, ...]) -> list[str]:
    """All that is known of who makes a call."""
    reached = next((r for r in found.reached if r.name == asked), None)
    if reached is None:
        return [f"no file of the image makes {asked}"]
    more = [f"and {reached.count - len(reached.by)} more"] if reached.count > len(reached.by) else []
    refused = [] if asked in every else ["no instance may make it"]
    return [*map(str, reached.by), *more, *refused]
