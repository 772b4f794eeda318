"""``oslet kernel``."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import click

from oslet.cli import options
from oslet.model.kernel import Target
from oslet.model.oslet import Kernel as Choice

if TYPE_CHECKING:
    from oslet.model.kernel import Option
    from oslet.workspace.kernels import Asked, Made


@click.command("kernel")
@options.target
@click.option("--target", "kind", type=click.Choice(get_args(Target)), default="microvm", help="What it runs on.")
@click.option("--kernel", "choice", type=click.Choice(get_args(Choice)), help="Instead of the declaration's choice.")
@click.option("--why", "symbol", metavar="SYMBOL", help="Why the kernel has this option, or that it hasn't.")
@click.option("--build", is_flag=True, help="Make it unless the store has it, and print its folder.")
@click.option("--refresh", is_flag=True, help="With --build: of the newest source that the archive has.")
@options.as_json
def command(
    target: str, kind: Target, choice: Choice | None, symbol: str | None, build: bool, refresh: bool, as_json: bool
) -> None:
    """Which kernel an image asks for as a virtual machine: each option that was derived from it, with its reason.

    Nothing is made without --build, which takes minutes once; images of one class share their kernel.
    """
    from oslet.cli import render
    from oslet.workspace import kernels

    with options.workspace() as workspace:
        asked = kernels.ask(workspace, workspace.image(target), choice, kind)
        made = kernels.have(workspace, asked, refresh=refresh) if build else kernels.kept(workspace, asked)
    if as_json:
        render.as_json(_told(asked, made))
    elif symbol:
        render.data(_why(asked, symbol.removeprefix("CONFIG_")))
    elif build and made:
        render.data(str(made.folder))
    else:
        for line in _lines(asked, made):
            render.data(line)


def _told(asked: Asked, made: Made | None) -> dict[str, object]:
    return {
        "target": asked.kernel.target,
        "class": asked.kernel.name,
        "digest": asked.wanted,
        "derived": asked.derived,
        "options": asked.kernel.options,
        "made": None if made is None else {"folder": str(made.folder), "key": made.key, "release": made.release},
    }


def _lines(asked: Asked, made: Made | None) -> list[str]:
    kernel = asked.kernel
    there = f"Linux {made.release}, in the store" if made else "not made yet"
    first = f"{kernel.target} {kernel.name} {asked.wanted[:12]}: {len(kernel.options)} options, {there}"
    return [first, *(_row(option) for option in asked.derived)]


def _row(option: Option) -> str:
    value = "" if option.value == "y" else f"={option.value}"
    return f"{option.symbol + value:24} {option.why}"


def _why(asked: Asked, symbol: str) -> str:
    """The image's own reason, else the kernel's."""
    for option in (*asked.derived, *asked.kernel.options):
        if option.symbol == symbol:
            return _row(option)
    return f"{symbol:24} off: neither the image nor the class {asked.kernel.name} asks for it"
