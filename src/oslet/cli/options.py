"""Options and arguments that several verbs share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
from click.shell_completion import CompletionItem

from oslet.cli import targets

if TYPE_CHECKING:
    from oslet.codec.stacks import Read
    from oslet.workspace import Workspace
    from oslet.workspace.stackfiles import Composing

Command = TypeVar("Command", bound=Callable[..., object])

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


def stacks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of stacks that run, and files by the shell."""
    from oslet.run import instances
    from oslet.workspace import Workspace

    names = sorted({i.group for i in instances(Workspace().places.state) if i.group})
    return [CompletionItem(n) for n in names if n.startswith(incomplete)] or [CompletionItem(incomplete, type="file")]


file = click.argument("file", callback=spelled, shell_complete=named)
target = click.argument("target", callback=spelled, shell_complete=named)
instance = click.argument("instance", shell_complete=_instances)
instances = click.argument("instances", nargs=-1, required=True, shell_complete=_instances)


def paths(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """INSTANCE:, or files by the shell."""
    found = _instances(ctx, param, incomplete) if "/" not in incomplete and incomplete else []
    return [CompletionItem(f"{item.value}:") for item in found] or [CompletionItem(incomplete, type="file")]


def when(ctx: click.Context, param: click.Parameter, word: str | None) -> float | None:
    """A moment, as POSIX seconds: how long ago (``90``, ``10m``, ``2h``), or an ISO 8601 date or time."""
    import time
    from datetime import datetime

    from oslet.codec.kinds import KindError, parse
    from oslet.model.param import DurationKind

    if word is None:
        return None
    try:
        return time.time() - float(parse(DurationKind(), word))
    except KindError:
        pass
    try:
        return datetime.fromisoformat(word).timestamp()
    except ValueError:
        what = f"{word!r} is neither as long ago as 90s, 10m, 2h nor a time as 2026-01-31T12:00"
        raise click.BadParameter(what) from None


since = click.option("--since", metavar="WHEN", callback=when, help="From then on: 90s, 10m, 2h ago, or an ISO time.")
stack = click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))


def compose(command: Command) -> Command:
    """How a Compose file is read."""
    for option in (
        click.option("--registry", metavar="HOST", help="Compose: where images are that say no registry."),
        click.option(
            "--profile", "profiles", multiple=True, metavar="NAME", help="Compose: services of this profile, too."
        ),
        click.option("--strict", is_flag=True, help="Compose: refuse what can't be taken over."),
    ):
        command = option(command)
    return command


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


def composing(profiles: tuple[str, ...], registry: str | None) -> Composing:
    """How a Compose file is read, by the options and the environment."""
    import os

    from oslet.workspace.stackfiles import Composing

    return Composing(os.environ, profiles, registry or os.environ.get("OSLET_REGISTRY", ""))


def stack_file(file: Path | None) -> Path:
    """The file that is meant: the one named, or the stack of this folder."""
    from oslet.workspace.stackfiles import find

    return file or find(Path.cwd())


def read_stack(
    workspace: Workspace, file: Path | None, *, strict: bool, profiles: tuple[str, ...], registry: str | None
) -> Read:
    """The stack in a file; what of a Compose file isn't taken over is told, or refused if it is to be ``strict``."""
    from oslet.workspace import stackfiles

    read, notes = stackfiles.read(workspace, stack_file(file), composing(profiles, registry))
    tell_notes(notes, strict=strict)
    return read


def tell_notes(notes: tuple[str, ...], *, strict: bool) -> None:
    """Say what of a Compose file isn't taken over. DeclarationError of it all with ``strict``."""
    from oslet.cli.render import talk
    from oslet.errors import DeclarationError, Fault

    if notes and strict:
        raise DeclarationError.of([Fault(note) for note in notes])
    for note in notes:
        talk(note)


def pairs(given: tuple[str, ...]) -> dict[str, str]:
    """``NAME=VALUE`` words as a mapping."""
    for word in given:
        if "=" not in word:
            raise click.BadParameter(f"{word!r} is not NAME=VALUE")
    return dict(word.split("=", 1) for word in given)
