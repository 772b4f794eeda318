"""``oslet completion``."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """The shell's completion script: eval "$(oslet completion bash)" """
    from click.shell_completion import get_completion_class

    from oslet.cli.verbs import oslet

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(oslet, {}, "oslet", "_OSLET_COMPLETE").source())
