"""Options and arguments that several verbs share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from oslet.cli import targets

if TYPE_CHECKING:
    from oslet.workspace import Workspace

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


def named(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of images and of the catalog, and declarations' files by the shell."""
    from oslet.workspace import Workspace

    names = [*Workspace().store.image_names(), *targets.shelf()]
    return [CompletionItem(n) for n in names if n.startswith(incomplete)] or [CompletionItem(incomplete, type="file")]


def shelved(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the catalog."""
    names = [each.removeprefix(targets.SHELF) for each in targets.shelf()]
    return [CompletionItem(n) for n in names if n.startswith(incomplete)]


def _instances(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from oslet.run import instances
    from oslet.workspace import Workspace

    return [CompletionItem(i.name) for i in instances(Workspace().places.state) if i.name.startswith(incomplete)]


def volumes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of volumes, and folders by the shell."""
    from oslet.run.volumes import named
    from oslet.workspace import Workspace

    found = [CompletionItem(n) for n in named(Workspace().places.data) if n.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="dir")]


def spelled(ctx: click.Context, param: click.Parameter, word: str) -> str:
    """A target with the catalog's short names written out; empty when there is none."""
    return targets.spelled(word) if word else ""


file = click.argument("file", callback=spelled, shell_complete=named)
target = click.argument("target", callback=spelled, shell_complete=named)
instance = click.argument("instance", shell_complete=_instances)
instances = click.argument("instances", nargs=-1, required=True, shell_complete=_instances)


@contextmanager
def workspace() -> Iterator[Workspace]:
    """The user's workspace, its progress shown on stderr."""
    from oslet.cli.render import progress, talk
    from oslet.workspace import Workspace

    with progress() as listen:
        yield Workspace(progress=listen, notice=talk)


def tell_missing(workspace: Workspace, instance: str) -> None:
    """Say which dropped paths an instance that ended in an error complained of."""
    from oslet.cli.render import talk
    from oslet.workspace.watching import post_mortem

    for lost in post_mortem(workspace, instance):
        talk(f"oslet: {lost}")


def pairs(given: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` words as a mapping."""
    for word in given:
        if "=" not in word:
            raise click.BadParameter(f"{word!r} is not NAME=VALUE")
    return dict(word.split("=", 1) for word in given)
