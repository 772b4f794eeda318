"""``oslet schema``."""

from __future__ import annotations

import json

import click


@click.command("schema")
def command() -> None:
    """The JSON Schema of declarations (draft 2020-12), for editors."""
    from oslet.codec.schema import declaration_schema

    click.echo(json.dumps(declaration_schema(), indent=2))
