"""``oslet manage``."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, suppress
from types import FrameType

import click

from oslet.cli import options


@click.command("manage")
@options.instances
@click.option(
    "--listen", metavar="HOST:PORT", default="127.0.0.1:0", show_default=True, help="Port 0: one that is free."
)
@click.option("--token", metavar="@FILE", help="Whom to let in: @FILE, @- or env:NAME. Else one is made for this time.")
@click.option("--read-only", is_flag=True, help="Answer what is asked, and change nothing.")
@options.as_json
def command(instances: tuple[str, ...], listen: str, token: str | None, read_only: bool, as_json: bool) -> None:
    """Let instances be managed over HTTP, until it is interrupted: state, environment, processes, memory, network,
    files, logs, signals, restart and stop. GET /openapi.json says how.

    Whoever asks shows a token: Authorization: Bearer TOKEN. What is sent isn't enciphered; before others than this
    machine's users stands a proxy that is.
    """
    from importlib.metadata import version

    from oslet.cli import render
    from oslet.run import find
    from oslet.run.manage import opening
    from oslet.run.manage.serving import Door

    host, port = opening.address(listen)
    known = _token(token) if token else ""
    opening.check(host, known)
    with options.workspace() as workspace, ExitStack() as stack:
        state = workspace.places.state
        names = tuple(dict.fromkeys(find(state, instance)[1].name for instance in instances))
        file = ""
        if not known:
            known, path = stack.enter_context(opening.fresh(state))
            file = str(path)
        door = stack.enter_context(
            Door((host, port), state, names, known, read_only=read_only, version=version("oslet"), notice=render.talk)
        )
        url = f"http://{f'[{host}]' if ':' in host else host}:{door.server_port}"
        if as_json:
            render.as_json({"url": url, "token_file": file, "instances": names})
        else:
            render.data(url)
            if file:
                render.talk(f"oslet: the token is in {file}")
        signal.signal(signal.SIGTERM, _interrupted)
        with suppress(KeyboardInterrupt):
            door.serve_forever()


def _token(word: str) -> str:
    from oslet.model.param import Param, SecretKind
    from oslet.run.words import secret_values

    return secret_values({"token": word}, [Param("token", SecretKind())], os.environ)["token"].strip()


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
